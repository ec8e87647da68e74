// attention_cached: (q[n,h,w], k[window,g,w], v[window,g,w], position i32[1]) → y[n,h,w]: query i attends to rows
// 0 ..= position + i of the caches.
//
// New tokens are few and keys many: one workgroup per query and 64 channels of its result walks the keys 64 at a time.
// An invocation scores one key, then sums one channel over all of them, so that values are read by neighbours together.
// Heads wider than 64 channels form their scores once for every 64. After reduce.wgsl.

struct Params { base: u32, heads: u32, group: u32, width: u32, chunks: u32, scale: f32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> q: array<f32>;         // [n, h, w]
@group(0) @binding(2) var<storage, read> k: array<f32>;         // [window, h/group, w]
@group(0) @binding(3) var<storage, read> v: array<f32>;         // [window, h/group, w]
@group(0) @binding(4) var<storage, read> position: array<u32>;  // [1]
@group(0) @binding(5) var<storage, read_write> y: array<f32>;   // [n, h, w]

const MASKED: f32 = -3.0e38;

var<workgroup> weights: array<f32, LANES>;
var<workgroup> known: u32;

// Largest value over the workgroup. Call from uniform control flow.
fn group_max(value: f32, lane: u32) -> f32 {
    weights[lane] = value;
    workgroupBarrier();
    for (var width = LANES / 2u; width > 0u; width /= 2u) {
        if lane < width {
            weights[lane] = max(weights[lane], weights[lane + width]);
        }
        workgroupBarrier();
    }
    return workgroupUniformLoad(&weights[0]);
}

fn score(query: u32, key: u32) -> f32 {
    var sum = 0.0;
    for (var c = 0u; c < params.width; c++) {
        sum += q[query + c] * k[key + c];
    }
    return sum * params.scale;
}

@compute @workgroup_size(64)
fn attention_cached(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let index = (params.base + group.x) / params.chunks;
    let c = (params.base + group.x) % params.chunks * LANES + lane;
    let pitch = params.heads / params.group * params.width;
    let at = index % params.heads / params.group * params.width;
    if lane == 0u {
        known = position[0] + index / params.heads + 1u;
    }
    // How many keys there are is the same for the whole workgroup, which only this load tells the compiler.
    let keys = workgroupUniformLoad(&known);
    var largest = MASKED;
    var total = 0.0;
    var sum = 0.0;
    for (var start = 0u; start < keys; start += LANES) {
        let key = start + lane;
        var s = MASKED;
        if key < keys {
            s = score(index * params.width, key * pitch + at);
        }
        let grown = max(largest, group_max(s, lane));
        let shrink = exp(largest - grown);
        largest = grown;
        let weight = select(0.0, exp(s - grown), key < keys);
        total = total * shrink + group_sum(weight, lane);
        sum *= shrink;
        weights[lane] = weight;
        workgroupBarrier();
        if c < params.width {
            let count = min(LANES, keys - start);
            for (var i = 0u; i < count; i++) {
                sum += weights[i] * v[(start + i) * pitch + at + c];
            }
        }
        workgroupBarrier();
    }
    if c < params.width {
        y[index * params.width + c] = sum / total;
    }
}
