// smear_gate_grad: (x[n,d], gate[d], dy[n,d]) → (dx[n,d], dgate[d]) with g = sigmoid(gate), in windows of seq rows:
// dx_t = (1-g)⊙dy_t + g⊙dy_{t+1}, dgate = Σ_t g(1-g)⊙(x_{t-1} - x_t)⊙dy_t. After sigmoid.wgsl and column_sums.wgsl.

struct Params { base: u32, n: u32, d: u32, seq: u32 }

const SUMS: u32 = 1u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;               // [n, d]
@group(0) @binding(2) var<storage, read> gate: array<f32>;            // [d]
@group(0) @binding(3) var<storage, read> dy: array<f32>;              // [n, d]
@group(0) @binding(4) var<storage, read_write> dx: array<f32>;        // [n, d]
@group(0) @binding(5) var<storage, read_write> partials: array<f32>;  // [chunks, d]

struct Channel { g: f32, rest: f32 }  // rest = 1-g

fn channel(c: u32) -> Channel {
    let g = sigmoid(gate[c]);
    return Channel(g.x, g.y);
}

fn terms(row: u32, i: u32, of_column: Channel) -> vec2<f32> {
    let t = row % params.seq;
    var before = 0.0;
    if t != 0u {
        before = x[i - params.d];
    }
    var after = 0.0;
    if t + 1u != params.seq {
        after = dy[i + params.d];
    }
    dx[i] = of_column.rest * dy[i] + of_column.g * after;
    return vec2<f32>(of_column.g * of_column.rest * (before - x[i]) * dy[i], 0.0);
}
