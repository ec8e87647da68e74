//! Shader parts that several kernels share, by name.

pub(super) const OPERAND_F32: &str = include_str!("operand_f32.wgsl");
pub(super) const OPERAND_PACKED: &str = include_str!("operand_packed.wgsl");
pub(super) const PACKED: &str = include_str!("packed.wgsl");
pub(super) const REDUCE: &str = include_str!("reduce.wgsl");
pub(super) const REDUCE_TEAM: &str = include_str!("reduce_team.wgsl");
pub(super) const TANH: &str = include_str!("tanh.wgsl");
pub(super) const TILE: &str = include_str!("tile.wgsl");
pub(super) const TILE_64: &str = include_str!("tile_64.wgsl");
pub(super) const TILE_128: &str = include_str!("tile_128.wgsl");
