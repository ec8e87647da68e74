// Shared part: the end of a product: y, or y + product where `accumulate` is set.

fn store(at: u32, j: u32, product: f32) {
    if params.accumulate != 0u {
        y[at] += product;
    } else {
        y[at] = product;
    }
}
