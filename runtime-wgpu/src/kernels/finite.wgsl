// Told by its bits: shaders need not honour comparisons with NaN or infinities.

fn finite(x: f32) -> bool {
    return (bitcast<u32>(x) & 0x7f800000u) != 0x7f800000u;
}
