// residual_mix_grad: (x[n,d], x0[n,d], mix[2,d], dm[n,d]) → (dx[n,d], dx0[n,d], dmix[2,d]): dx = mix[0]⊙dm,
// dx0 = mix[1]⊙dm, dmix = [Σ_n x⊙dm, Σ_n x0⊙dm]. After column_sums.wgsl.

struct Params { base: u32, n: u32, d: u32 }

const SUMS: u32 = 2u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;               // [n, d]
@group(0) @binding(2) var<storage, read> x0: array<f32>;              // [n, d]
@group(0) @binding(3) var<storage, read> blend: array<f32>;           // [2, d]
@group(0) @binding(4) var<storage, read> dm: array<f32>;              // [n, d]
@group(0) @binding(5) var<storage, read_write> dx: array<f32>;        // [n, d]
@group(0) @binding(6) var<storage, read_write> dx0: array<f32>;       // [n, d]
@group(0) @binding(7) var<storage, read_write> partials: array<f32>;  // [chunks, 2, d]

struct Channel { now: f32, stem: f32 }

fn channel(c: u32) -> Channel {
    return Channel(blend[c], blend[params.d + c]);
}

fn terms(row: u32, i: u32, of_column: Channel) -> vec2<f32> {
    let dy = dm[i];
    dx[i] = of_column.now * dy;
    dx0[i] = of_column.stem * dy;
    return vec2<f32>(x[i] * dy, x0[i] * dy);
}
