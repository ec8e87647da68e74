// Shared part: the end of linear_residual: x + product.

@group(0) @binding(4) var<storage, read> x: array<f32>;  // [rows, cols]

fn store(at: u32, j: u32, product: f32) {
    y[at] = x[at] + product;
}
