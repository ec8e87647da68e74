// gather_sums: up to seven scalars → sums[first..first + count]. One invocation per scalar.

struct Params { base: u32, first: u32, count: u32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> s0: array<f32>;           // []
@group(0) @binding(2) var<storage, read> s1: array<f32>;           // []
@group(0) @binding(3) var<storage, read> s2: array<f32>;           // []
@group(0) @binding(4) var<storage, read> s3: array<f32>;           // []
@group(0) @binding(5) var<storage, read> s4: array<f32>;           // []
@group(0) @binding(6) var<storage, read> s5: array<f32>;           // []
@group(0) @binding(7) var<storage, read> s6: array<f32>;           // []
@group(0) @binding(8) var<storage, read_write> sums: array<f32>;   // [all]

@compute @workgroup_size(8)
fn gather_sums(@builtin(local_invocation_index) lane: u32) {
    if lane >= params.count {
        return;
    }
    var sum = s0[0];
    switch lane {
        case 1u: { sum = s1[0]; }
        case 2u: { sum = s2[0]; }
        case 3u: { sum = s3[0]; }
        case 4u: { sum = s4[0]; }
        case 5u: { sum = s5[0]; }
        case 6u: { sum = s6[0]; }
        default: {}
    }
    sums[params.first + lane] = sum;
}
