//! What a kernel is: WGSL text with an entry point and the buffers that it binds. Plain data, no GPU needed.

/// A compute shader of this crate.
///
/// Contract of every entry point:
/// * `@group(0) @binding(0)` is a uniform struct of at most [`PARAM_WORDS`] words that starts with `base: u32`, the index
///   of the dispatch's first workgroup; large launches are cut into several dispatches, so a kernel's own index is
///   `base + workgroup_id.x`, and the launch is one-dimensional.
/// * Storage buffers follow at bindings 1, 2, …, as [`Kernel::access`] says; at most [`MAX_STORAGE`].
/// * It uses at most 256 invocations and 16 KiB of workgroup memory.
#[derive(Debug, PartialEq)]
pub struct Kernel {
    /// Unique name: the op's, then what distinguishes the variant.
    pub name: &'static str,
    /// WGSL, joined in order; shared parts first.
    pub source: &'static [&'static str],
    /// Name of the entry point.
    pub entry: &'static str,
    /// One letter per storage buffer: `r` read, `w` read and written.
    pub access: &'static str,
}

/// Words of the uniform struct of a kernel.
pub const PARAM_WORDS: usize = 16;

/// Storage buffers that a kernel may bind: WebGPU's default limit.
pub const MAX_STORAGE: usize = 8;

impl Kernel {
    /// The whole shader.
    pub fn wgsl(&self) -> String {
        self.source.join("\n")
    }

    /// Whether each storage buffer is only read.
    pub fn read_only(&self) -> impl Iterator<Item = bool> {
        self.access.bytes().map(|letter| letter == b'r')
    }
}

/// A run-time constant of a kernel as a word of its uniform struct.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Param {
    /// `u32`.
    U32(u32),
    /// `f32`.
    F32(f32),
}

impl Param {
    /// Its bits.
    pub fn word(self) -> u32 {
        match self {
            Param::U32(value) => value,
            Param::F32(value) => value.to_bits(),
        }
    }
}

impl From<usize> for Param {
    /// Extents and offsets are below 2³² because buffers are: the executor refuses larger ones.
    fn from(value: usize) -> Self {
        Param::U32(value as u32)
    }
}

impl From<bool> for Param {
    fn from(value: bool) -> Self {
        Param::U32(u32::from(value))
    }
}

impl From<f64> for Param {
    fn from(value: f64) -> Self {
        Param::F32(value as f32)
    }
}
