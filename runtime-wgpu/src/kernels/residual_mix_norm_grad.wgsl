// Second part of residual_mix_norm_grad: (x[n,d], x0[n,d], mix[2,d], dh[n,d], rows[n,2], dm[n,d]) → (dx[n,d], dx0[n,d], dmix[2,d]), dx in
// place of dm, and dx0 added to what is there where `accumulate` is set. With g = dm + rows[.,0]·dh - rows[.,1]·m, m = mix[0]⊙x +
// mix[1]⊙x0: dx = mix[0]⊙g, dx0 = mix[1]⊙g, dmix = [Σ_n x⊙g, Σ_n x0⊙g]. After column_sums.wgsl.

struct Params { base: u32, n: u32, d: u32, accumulate: u32 }

const SUMS: u32 = 2u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;               // [n, d]
@group(0) @binding(2) var<storage, read> x0: array<f32>;              // [n, d]
@group(0) @binding(3) var<storage, read> blend: array<f32>;           // [2, d]
@group(0) @binding(4) var<storage, read> dh: array<f32>;              // [n, d]
@group(0) @binding(5) var<storage, read> rows: array<vec2<f32>>;      // [n]
@group(0) @binding(6) var<storage, read_write> dx: array<f32>;        // [n, d]
@group(0) @binding(7) var<storage, read_write> dx0: array<f32>;       // [n, d]
@group(0) @binding(8) var<storage, read_write> partials: array<f32>;  // [chunks, 2, d]

struct Channel { now: f32, stem: f32 }

fn channel(c: u32) -> Channel {
    return Channel(blend[c], blend[params.d + c]);
}

fn terms(row: u32, i: u32, of_column: Channel) -> vec2<f32> {
    let m = of_column.now * x[i] + of_column.stem * x0[i];
    let g = dx[i] + (rows[row].x * dh[i] - rows[row].y * m);
    let before = select(0.0, dx0[i], params.accumulate != 0u);
    dx[i] = of_column.now * g;
    dx0[i] = before + of_column.stem * g;
    return vec2<f32>(x[i] * g, x0[i] * g);
}
