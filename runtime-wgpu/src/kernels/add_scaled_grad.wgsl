// add_scaled_grad: (scale[d], y[n,d], dz[n,d]) → (dscale[d], dy[n,d]): dy = scale⊙dz, dscale = Σ_n y⊙dz.
// After column_sums.wgsl.

struct Params { base: u32, n: u32, d: u32 }

const SUMS: u32 = 1u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> scale: array<f32>;           // [d]
@group(0) @binding(2) var<storage, read> y: array<f32>;               // [n, d]
@group(0) @binding(3) var<storage, read> dz: array<f32>;              // [n, d]
@group(0) @binding(4) var<storage, read_write> dy: array<f32>;        // [n, d]
@group(0) @binding(5) var<storage, read_write> partials: array<f32>;  // [chunks, d]

struct Channel { scale: f32 }

fn channel(c: u32) -> Channel {
    return Channel(scale[c]);
}

fn terms(row: u32, i: u32, of_column: Channel) -> vec2<f32> {
    dy[i] = of_column.scale * dz[i];
    return vec2<f32>(y[i] * dz[i], 0.0);
}
