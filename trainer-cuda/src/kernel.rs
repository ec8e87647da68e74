//! What a kernel is: a function in a `.cu` file, its signature and the threads of its blocks. Plain data, no GPU needed.

use golf_core::digest::sha256_hex;

/// A file of CUDA C++, compiled as a whole.
#[derive(Debug, PartialEq)]
pub struct Source {
    /// Its name; messages of the compiler carry it.
    pub file: &'static str,
    /// Its text.
    pub text: &'static str,
}

/// What the sources include, under `kernels/`.
pub static HEADERS: &[Source] = &[
    Source { file: "shared/activation.cuh", text: include_str!("kernels/shared/activation.cuh") },
    Source { file: "shared/attention_bf16.cuh", text: include_str!("kernels/shared/attention_bf16.cuh") },
    Source { file: "shared/attention_tile.cuh", text: include_str!("kernels/shared/attention_tile.cuh") },
    Source {
        file: "shared/attention_weights.cuh",
        text: include_str!("kernels/shared/attention_weights.cuh"),
    },
    Source { file: "shared/attention_wgmma.cuh", text: include_str!("kernels/shared/attention_wgmma.cuh") },
    Source { file: "shared/column_sums.cuh", text: include_str!("kernels/shared/column_sums.cuh") },
    Source { file: "shared/eights.cuh", text: include_str!("kernels/shared/eights.cuh") },
    Source { file: "shared/elements.cuh", text: include_str!("kernels/shared/elements.cuh") },
    Source { file: "shared/head.cuh", text: include_str!("kernels/shared/head.cuh") },
    Source { file: "shared/heads.cuh", text: include_str!("kernels/shared/heads.cuh") },
    Source { file: "shared/math.cuh", text: include_str!("kernels/shared/math.cuh") },
    Source { file: "shared/mma.cuh", text: include_str!("kernels/shared/mma.cuh") },
    Source { file: "shared/operand.cuh", text: include_str!("kernels/shared/operand.cuh") },
    Source { file: "shared/packed.cuh", text: include_str!("kernels/shared/packed.cuh") },
    Source { file: "shared/pieces.cuh", text: include_str!("kernels/shared/pieces.cuh") },
    Source { file: "shared/product.cuh", text: include_str!("kernels/shared/product.cuh") },
    Source { file: "shared/reduce.cuh", text: include_str!("kernels/shared/reduce.cuh") },
    Source { file: "shared/rows.cuh", text: include_str!("kernels/shared/rows.cuh") },
    Source { file: "shared/spans.cuh", text: include_str!("kernels/shared/spans.cuh") },
    Source { file: "shared/strips.cuh", text: include_str!("kernels/shared/strips.cuh") },
    Source { file: "shared/tile.cuh", text: include_str!("kernels/shared/tile.cuh") },
    Source { file: "shared/tile_bf16.cuh", text: include_str!("kernels/shared/tile_bf16.cuh") },
    Source { file: "shared/vector.cuh", text: include_str!("kernels/shared/vector.cuh") },
    Source { file: "shared/warpgroup.cuh", text: include_str!("kernels/shared/warpgroup.cuh") },
    Source { file: "shared/wgmma.cuh", text: include_str!("kernels/shared/wgmma.cuh") },
];

impl Source {
    /// Whether it holds instructions of Hopper alone (`wgmma`), which its name then says.
    pub fn is_for_hopper(&self) -> bool {
        self.file.ends_with("_wgmma.cu")
    }

    /// What it is compiled for where a device is of `arch`, such as `sm_90`; `None` where it does not run.
    pub fn target(&self, arch: &str) -> Option<String> {
        match (self.is_for_hopper(), arch) {
            (false, _) => Some(arch.to_owned()),
            (true, "sm_90") => Some("sm_90a".to_owned()),
            (true, _) => None,
        }
    }

    /// Digest of everything that decides what a compiler makes of this source: its text, all headers, and `options`.
    pub fn digest(&self, options: &[&str]) -> String {
        let headers = HEADERS.iter().flat_map(|header| [header.file, header.text]);
        let parts: Vec<&str> =
            [self.file, self.text].into_iter().chain(headers).chain(options.iter().copied()).collect();
        // Lengths keep neighbouring parts apart.
        let joined: String = parts.iter().map(|part| format!("{} {part}\n", part.len())).collect();
        sha256_hex(joined.as_bytes())
    }
}

/// A kernel of this crate.
///
/// Contract of every kernel: grids and blocks are one-dimensional; pointers to device memory come first, then scalars, the
/// last of which may be a struct of them;
/// its shared memory is static; it writes every word of its results that the step promises, whatever lay there.
///
/// A kernel over many tensors is *rowed*: what differs from tensor to tensor comes from rows of a table. Its first argument is the
/// table, and its first scalar the number of rows; rows of one launch have nothing to do with each other.
#[derive(Debug, PartialEq)]
pub struct Kernel {
    /// The file that holds it.
    pub source: &'static Source,
    /// Its unique name, the function's: the op's, then what distinguishes the variant.
    pub entry: &'static str,
    /// One letter per parameter. Pointers: `r` to what is read, `w` to what is written (and perhaps read), `a` and `o` the same of
    /// activations, `h` and `H` the same of pairs of bf16 whatever [`Storage`] is. Then scalars: `u` an unsigned word, `f` a float.
    /// Of a rowed kernel first the same of the fields of a row, and a bar.
    pub signature: &'static str,
    /// Threads of a block.
    pub threads: usize,
}

/// What activations are in a device's memory. Every kernel computes in f32 all the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Storage {
    /// Floats.
    #[default]
    Full,
    /// Entries of bf16, two to a word, the first in the low half.
    Half,
}

impl Storage {
    /// What a compiler is told, as `shared/activation.cuh` wants to know it.
    pub fn define(self) -> Option<&'static str> {
        match self {
            Storage::Full => None,
            Storage::Half => Some("-DACTIVATIONS_BF16"),
        }
    }
}

/// Those of `letters` that are of pointers.
fn pointers_of(letters: &'static str) -> &'static str {
    let scalars = letters.trim_start_matches(|letter| "rwaohH".contains(letter));
    &letters[..letters.len() - scalars.len()]
}

impl Kernel {
    /// Letters of the fields of a row; `None` of a kernel that has no rows.
    pub fn row(&self) -> Option<&'static str> {
        self.signature.split_once('|').map(|(row, _)| row)
    }

    /// Letters of its parameters but for rows.
    pub fn shared(&self) -> &'static str {
        self.signature.split_once('|').map_or(self.signature, |(_, shared)| shared)
    }

    /// Letters of its pointers but for those of rows.
    pub fn pointers(&self) -> &'static str {
        pointers_of(self.shared())
    }

    /// Letters of the pointers of a row.
    pub fn row_pointers(&self) -> &'static str {
        pointers_of(self.row().unwrap_or_default())
    }

    /// Whether it reads or writes activations, and so comes in two forms.
    pub fn has_activations(&self) -> bool {
        [self.pointers(), self.row_pointers()].iter().any(|letters| letters.contains(['a', 'o']))
    }
}

/// Threads of a block of an elementwise kernel.
pub const ELEMENTS: usize = 256;

/// Elements of a piece of a tensor, which a block takes where it takes more than one per thread; as in `shared/pieces.cuh`.
pub const PIECE: usize = 2048;

/// A scalar argument of a kernel.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Param {
    /// `unsigned`.
    U32(u32),
    /// `float`.
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

    /// Its letter in [`Kernel::signature`].
    pub fn letter(self) -> char {
        match self {
            Param::U32(_) => 'u',
            Param::F32(_) => 'f',
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
