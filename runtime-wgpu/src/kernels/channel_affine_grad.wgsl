// channel_affine_grad: (x[n,d], scale[d], dy[n,d]) → (dx[n,d], dscale[d], dbias[d]): dx = scale⊙dy,
// dscale = Σ_n x⊙dy, dbias = Σ_n dy. After column_sums.wgsl.

struct Params { base: u32, n: u32, d: u32 }

const SUMS: u32 = 2u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;               // [n, d]
@group(0) @binding(2) var<storage, read> scale: array<f32>;           // [d]
@group(0) @binding(3) var<storage, read> dy: array<f32>;              // [n, d]
@group(0) @binding(4) var<storage, read_write> dx: array<f32>;        // [n, d]
@group(0) @binding(5) var<storage, read_write> partials: array<f32>;  // [chunks, 2, d]

struct Channel { scale: f32 }

fn channel(c: u32) -> Channel {
    return Channel(scale[c]);
}

fn terms(row: u32, i: u32, of_column: Channel) -> vec2<f32> {
    dx[i] = of_column.scale * dy[i];
    return vec2<f32>(x[i] * dy[i], dy[i]);
}
