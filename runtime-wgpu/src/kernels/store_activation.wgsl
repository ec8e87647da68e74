// Shared part: the end of linear_activation: leaky²(product).

fn store(at: u32, j: u32, product: f32) {
    let leaky = select(params.slope * product, product, product >= 0.0);
    y[at] = leaky * leaky;
}
