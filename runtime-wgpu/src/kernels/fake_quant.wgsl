// fake_quant: (w[m,k]) → w + (q·Δ - w), q = clamp(round_half_even(w/Δ)), Δ one step per row. A workgroup takes a row:
// it finds the order statistics that give Δ, then rounds its entries, read again from the cache.
// soft_quant: (w[m,k], α) → s_α(clamp(w/Δ))·Δ, s_α(y) = ⌊y⌋ + ½ + ½·tanh(α·r)/tanh(α/2) with r = y - ⌊y⌋ - ½.
// soft_quant_grad: (w[m,k], α, dŵ[m,k]) → dŵ · s'_α(clamp(w/Δ)).
//
// The bits of fake_quant are those of IEEE f32 arithmetic in the published order whatever the driver: Δ is formed in integers, a
// quotient near a tie is decided in integers, and products and sums are kept from being contracted.
// After wide.wgsl and exact_f32.wgsl.

struct Params {
    base: u32,
    k: u32,
    need: u32,        // Δ starts from the need-th largest magnitude,
    from_high: u32,   // moved, or the next larger one where this is 1,
    factor: f32,      // by factor·(their gap); then
    before: f32,      // Δ = max(max(magnitude, before)/c, after)
    after: f32,
    c: u32,           // largest integer
    lowest: u32,      // magnitude of the smallest
    zero: u32,        // 0, which no compiler knows
}

const LANES: u32 = 64u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> w: array<f32>;           // [m, k]
@group(0) @binding(2) var<storage, read_write> seen: array<f32>;  // [m, k]; of the gradient dw
@group(0) @binding(3) var<storage, read> sharpness: array<f32>;   // [1]
@group(0) @binding(4) var<storage, read> dseen: array<f32>;       // [m, k]

var<workgroup> tops: array<vec2<u32>, LANES>;

// The larger magnitude and how often it occurs.
fn larger(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
    if a.x == b.x {
        return vec2<u32>(a.x, a.y + b.y);
    }
    return select(b, a, a.x > b.x);
}

// Largest magnitude below `bound` in the row, and how often it occurs, given to every invocation. Magnitudes are
// compared as bits, which order them exactly.
fn largest_below(bound: u32, row: u32, lane: u32) -> vec2<u32> {
    var top = vec2<u32>();
    for (var j = lane; j < params.k; j += LANES) {
        let magnitude = bitcast<u32>(w[row + j]) & 0x7fffffffu;
        if magnitude < bound {
            top = larger(top, vec2<u32>(magnitude, 1u));
        }
    }
    tops[lane] = top;
    workgroupBarrier();
    for (var width = LANES / 2u; width > 0u; width /= 2u) {
        if lane < width {
            tops[lane] = larger(tops[lane], tops[lane + width]);
        }
        workgroupBarrier();
    }
    return workgroupUniformLoad(&tops[0]);
}

// Δ of the row. The quantile of the published rule lies among the largest 0.05 %, so it is counted from the top.
fn step_of(row: u32, lane: u32) -> f32 {
    var counted = 0u;
    var low = 0xffffffffu;
    var high = 0u;
    while counted < params.need {
        let top = largest_below(low, row, lane);
        low = top.x;
        if counted == 0u || counted + 1u < params.need {
            high = top.x;
        }
        counted += top.y;
    }
    let gap = bitcast<f32>(high) - bitcast<f32>(low);
    let start = bitcast<f32>(select(low, high, params.from_high == 1u));
    let magnitude = exact_fma(params.factor, gap, start);
    return max(exact_quotient(max(magnitude, params.before), params.c), params.after);
}

// |q| before clamping, where |w|/Δ is within rounding of `below` + ½: the f32 quotient either is that tie, and goes to
// the even side, or lies beyond. In units of a quarter of the last place of Δ, |w| - (below + ½)Δ is a small integer,
// exact modulo 2³²; the quotients that round to the tie lie within half their last place of it, both ends included.
// (Under ½, a power of two, the last place is half as large, but there the tie and what lies below it both become 0.)
fn near_tie(weight: f32, step: f32, below: u32) -> u32 {
    let odd = 2u * below + 1u;
    let shift = u32(exponent_of(weight) + 2 - exponent_of(step));
    let distance = i32((mantissa_of(weight) << shift) - mantissa_of(step) * odd * 2u);
    let ends = i32(mantissa_of(step) >> (23u - firstLeadingBit(odd)));
    if distance > ends {
        return below + 1u;
    }
    if distance < -ends {
        return below;
    }
    return below + (below & 1u);
}

// q as a float.
fn integer_of(weight: f32, step: f32) -> f32 {
    let negative = weight < 0.0;
    let limit = f32(select(params.c, params.lowest, negative));
    // The division's error is at most 2.5 units in the last place, 3·10⁻⁷ of it.
    let t = min(abs(weight) / step, limit);
    let below = floor(t);
    let past = t - (below + 0.5);
    var q = select(below, below + 1.0, past > 0.0);
    if abs(past) <= t * 1e-6 {
        q = min(f32(near_tie(weight, step, u32(below))), limit);
    }
    return select(q, -q, negative);
}

// x, in a way that no compiler sees through: the operation that made it stays one, and is rounded.
fn rounded(x: f32) -> f32 {
    return bitcast<f32>(bitcast<u32>(x) ^ params.zero);
}

@compute @workgroup_size(64)
fn fake_quant(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let row = (params.base + group.x) * params.k;
    let step = step_of(row, lane);
    for (var j = lane; j < params.k; j += LANES) {
        let weight = w[row + j];
        let grid = rounded(integer_of(weight, step) * step);
        seen[row + j] = weight + rounded(grid - weight);
    }
}

// ⌊y⌋ and y - ⌊y⌋ - ½ of the clipped y.
fn soft_parts(weight: f32, step: f32) -> vec2<f32> {
    let y = clamp(weight / step, -f32(params.lowest), f32(params.c));
    let base = floor(y);
    return vec2<f32>(base, y - base - 0.5);
}

@compute @workgroup_size(64)
fn soft_quant(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let row = (params.base + group.x) * params.k;
    let step = step_of(row, lane);
    let alpha = sharpness[0];
    let scale = 0.5 / tanh(0.5 * alpha);
    for (var j = lane; j < params.k; j += LANES) {
        let parts = soft_parts(w[row + j], step);
        seen[row + j] = (parts.x + 0.5 + scale * tanh(alpha * parts.y)) * step;
    }
}

@compute @workgroup_size(64)
fn soft_quant_grad(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let row = (params.base + group.x) * params.k;
    let step = step_of(row, lane);
    let alpha = sharpness[0];
    let scale = 2.0 * alpha / tanh(0.5 * alpha);
    for (var j = lane; j < params.k; j += LANES) {
        // 1 - tanh² without its cancellation.
        let e = exp(-2.0 * alpha * abs(soft_parts(w[row + j], step).y));
        seen[row + j] = dseen[row + j] * (scale * (e / ((1.0 + e) * (1.0 + e))));
    }
}
