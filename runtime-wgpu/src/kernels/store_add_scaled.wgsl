// Shared part: the end of linear_add_scaled: x + scale ⊙ product.

@group(0) @binding(4) var<storage, read> x: array<f32>;      // [rows, cols]
@group(0) @binding(5) var<storage, read> scale: array<f32>;  // [cols]

fn store(at: u32, j: u32, product: f32) {
    y[at] = x[at] + scale[j] * product;
}
