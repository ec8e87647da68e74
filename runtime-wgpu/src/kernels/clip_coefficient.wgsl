// clip_coefficient: (Σx²[]) → (norm[], coefficient[]), coefficient = min(1, limit/(norm + 1e-6)), or 1 for limit 0.
// One invocation.

struct Params { base: u32, limit: f32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> squares: array<f32>;            // []
@group(0) @binding(2) var<storage, read_write> norm: array<f32>;         // []
@group(0) @binding(3) var<storage, read_write> coefficient: array<f32>;  // []

@compute @workgroup_size(1)
fn clip_coefficient() {
    let sum = squares[0];
    let root = sqrt(sum);
    norm[0] = root;
    coefficient[0] = 1.0;
    if params.limit > 0.0 {
        let factor = params.limit / (root + 1e-6);
        if factor < 1.0 {
            coefficient[0] = factor;
        }
        // NaN must reach the caller. Told by its bits: shaders need not honour comparisons with NaN.
        if (bitcast<u32>(sum) & 0x7fffffffu) > 0x7f800000u {
            coefficient[0] = sum;
        }
    }
}
