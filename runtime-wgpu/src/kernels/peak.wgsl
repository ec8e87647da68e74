// peak: nothing but multiply-adds, to measure how many of them a device does in a second.
// One invocation per result; its eight chains are independent, which hides the latency of an instruction, and few enough
// to stay in registers even where a vector register holds one variable of eight invocations. The factors come from the
// parameters so that no compiler can fold the loop; the chains converge to 1, far from overflow and from denormals.

struct Params { base: u32, rounds: u32, factor: f32, term: f32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> sums: array<f32>;   // [groups, 256]

@compute @workgroup_size(256)
fn peak(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let a = params.factor;
    let b = params.term;
    var x = vec4<f32>(0.0, 1.0, 2.0, 3.0) + f32(lane);
    var y = x + 4.0;
    for (var i = 0u; i < params.rounds; i++) {
        x = fma(x, vec4<f32>(a), vec4<f32>(b));
        y = fma(y, vec4<f32>(a), vec4<f32>(b));
        x = fma(x, vec4<f32>(a), vec4<f32>(b));
        y = fma(y, vec4<f32>(a), vec4<f32>(b));
        x = fma(x, vec4<f32>(a), vec4<f32>(b));
        y = fma(y, vec4<f32>(a), vec4<f32>(b));
        x = fma(x, vec4<f32>(a), vec4<f32>(b));
        y = fma(y, vec4<f32>(a), vec4<f32>(b));
        x = fma(x, vec4<f32>(a), vec4<f32>(b));
        y = fma(y, vec4<f32>(a), vec4<f32>(b));
        x = fma(x, vec4<f32>(a), vec4<f32>(b));
        y = fma(y, vec4<f32>(a), vec4<f32>(b));
        x = fma(x, vec4<f32>(a), vec4<f32>(b));
        y = fma(y, vec4<f32>(a), vec4<f32>(b));
        x = fma(x, vec4<f32>(a), vec4<f32>(b));
        y = fma(y, vec4<f32>(a), vec4<f32>(b));
    }
    let sum = x + y;
    sums[(params.base + group.x) * 256u + lane] = sum.x + sum.y + sum.z + sum.w;
}
