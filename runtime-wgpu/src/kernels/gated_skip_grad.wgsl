// gated_skip_grad: (x[n,d], s[n,d], weight[d], gate[d], dy[n,d]) → (dx[n,d], ds[n,d], dweight[d], dgate[d]) with
// γ = sigmoid(gate): dx = γ⊙dy, ds = (1-γ)⊙weight⊙dy, dweight = Σ_n (1-γ)⊙s⊙dy, dgate = Σ_n γ(1-γ)⊙(x - weight⊙s)⊙dy.
// After sigmoid.wgsl and column_sums.wgsl.

struct Params { base: u32, n: u32, d: u32 }

const SUMS: u32 = 2u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;               // [n, d]
@group(0) @binding(2) var<storage, read> s: array<f32>;               // [n, d]
@group(0) @binding(3) var<storage, read> weight: array<f32>;          // [d]
@group(0) @binding(4) var<storage, read> gate: array<f32>;            // [d]
@group(0) @binding(5) var<storage, read> dy: array<f32>;              // [n, d]
@group(0) @binding(6) var<storage, read_write> dx: array<f32>;        // [n, d]
@group(0) @binding(7) var<storage, read_write> ds: array<f32>;        // [n, d]
@group(0) @binding(8) var<storage, read_write> partials: array<f32>;  // [chunks, 2, d]

struct Channel { weight: f32, gamma: f32, rest: f32 }  // rest = 1-γ

fn channel(c: u32) -> Channel {
    let gamma = sigmoid(gate[c]);
    return Channel(weight[c], gamma.x, gamma.y);
}

fn terms(row: u32, i: u32, of_column: Channel) -> vec2<f32> {
    let through = of_column.gamma * dy[i];
    let beside = of_column.rest * dy[i];
    dx[i] = through;
    ds[i] = of_column.weight * beside;
    return vec2<f32>(s[i] * beside, through * of_column.rest * (x[i] - of_column.weight * s[i]));
}
