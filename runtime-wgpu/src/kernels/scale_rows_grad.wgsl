// scale_rows_grad: (w[r,c], s[r], dy[r,c]) → (dw[r,c], ds[r]): dw = s⊙dy, ds = Σ_c w⊙dy. One workgroup per row, strided over
// its columns. After reduce.wgsl.

struct Params { base: u32, cols: u32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> w: array<f32>;         // [r, c]
@group(0) @binding(2) var<storage, read> s: array<f32>;         // [r]
@group(0) @binding(3) var<storage, read> dy: array<f32>;        // [r, c]
@group(0) @binding(4) var<storage, read_write> dw: array<f32>;  // [r, c]
@group(0) @binding(5) var<storage, read_write> ds: array<f32>;  // [r]

@compute @workgroup_size(64)
fn scale_rows_grad(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let row = params.base + group.x;
    let first = row * params.cols;
    var sum = 0.0;
    for (var c = lane; c < params.cols; c += LANES) {
        dw[first + c] = s[row] * dy[first + c];
        sum += w[first + c] * dy[first + c];
    }
    let total = group_sum(sum, lane);
    if lane == 0u {
        ds[row] = total;
    }
}
