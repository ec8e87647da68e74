// Shared part: the left operand and the logits of a tile of the head, x·eᵀ squashed into ±cap. After tanh.wgsl and
// tile_64.wgsl, tile.wgsl and an operand part, whose `depth` is d and whose columns are the vocabulary.

fn load_a(i: u32, l: u32) -> f32 {
    if i >= params.rows || l >= params.depth {
        return 0.0;
    }
    return x[(params.first_row + i) * params.depth + l];
}

fn a_by_depth() -> bool {
    return true;
}

fn squash(z: vec4<f32>) -> vec4<f32> {
    let t = z / params.cap;
    return params.cap * vec4(tanh_precise(t.x), tanh_precise(t.y), tanh_precise(t.z), tanh_precise(t.w));
}
