//! From a step of a plan to launches of kernels: the form that every `kernels/<op>.rs` writes.
//!
//! Lowering is pure: it sees types, attributes and a precision, never a device. So which variant runs where can be tested, and
//! printed, on a machine without a GPU.

use crate::gemm::Gemm;
use crate::kernel::{ELEMENTS, Kernel, Param, Storage};
use crate::kernels::{narrow, widen};
use crate::rows::Row;
use golf_core::plan::Step;
use golf_core::tensor::TensorType;
use std::collections::HashSet;

pub use crate::launch::{Binding, Launch, Table};

/// How products of matrices are formed, and what activations are between kernels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// In f32.
    #[default]
    F32,
    /// On tensor cores: operands of `linear`, of Newton–Schulz steps, of attention and of the head's logits, and their
    /// gradients, rounded to bf16, added up in f32. Activations are stored in bf16, everything else in f32.
    Bf16,
}

/// Who forms products in bf16.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Products {
    /// Kernels of this crate.
    #[default]
    Own,
    /// A library, but for some.
    Library {
        /// What kernels of this crate form all the same.
        refused: HashSet<Gemm>,
    },
}

impl Products {
    /// Whether a library forms `gemm`.
    pub fn takes(&self, gemm: &Gemm) -> bool {
        match self {
            Products::Own => false,
            Products::Library { refused } => !refused.contains(gemm),
        }
    }
}

static OWN: Products = Products::Own;

/// A step under lowering.
pub struct Lowering<'a> {
    step: &'a Step,
    /// Which operands and which results are stored in bf16.
    halves: [&'a [bool]; 2],
    /// How products are formed.
    pub precision: Precision,
    /// Whether the device has Hopper's products of warpgroups, and they are to be used.
    pub wgmma: bool,
    /// Who forms products in bf16.
    pub products: &'a Products,
    /// Launches so far, in order.
    pub launches: Vec<Launch>,
    /// Words of every scratch buffer.
    pub scratch: Vec<usize>,
    /// Scratch buffers of activations in bf16.
    half_scratch: Vec<usize>,
    /// Words of every scratch buffer that no other step shares.
    pub partials: Vec<usize>,
    /// Words of every rounded operand.
    pub rounded: Vec<usize>,
}

impl<'a> Lowering<'a> {
    /// An empty lowering of `step`, all of it by kernels of this crate.
    pub fn new(step: &'a Step, precision: Precision) -> Self {
        Self {
            step,
            halves: [&[], &[]],
            precision,
            wgmma: false,
            products: &OWN,
            launches: Vec::new(),
            scratch: Vec::new(),
            half_scratch: Vec::new(),
            partials: Vec::new(),
            rounded: Vec::new(),
        }
    }

    /// The same for a device that has Hopper's products of warpgroups; none has unless said.
    pub fn with_wgmma(self, wgmma: bool) -> Self {
        Self { wgmma, ..self }
    }

    /// The same with products formed by others.
    pub fn with_products(self, products: &'a Products) -> Self {
        Self { products, ..self }
    }

    /// The same where these operands and results are stored in bf16; none unless said.
    pub fn with_halves(self, inputs: &'a [bool], outputs: &'a [bool]) -> Self {
        Self { halves: [inputs, outputs], ..self }
    }

    /// Whether what is bound is an activation in bf16.
    pub fn is_half(&self, binding: &Binding) -> bool {
        let [inputs, outputs] = self.halves;
        let of = |list: &[bool], i: usize| list.get(i).copied().unwrap_or(false);
        match binding {
            Binding::Input(i) => of(inputs, *i),
            Binding::Output(i) => of(outputs, *i),
            Binding::Scratch(i) => self.half_scratch.contains(i),
            Binding::Partial(_) | Binding::Rounded(_) | Binding::Table(_) => false,
        }
    }

    /// Entries of an operand or a result.
    fn numel(&self, binding: &Binding) -> usize {
        match binding {
            Binding::Input(i) => self.input(*i).numel(),
            Binding::Output(i) => self.output(*i).numel(),
            Binding::Scratch(i) => 2 * self.scratch[*i],
            other => unreachable!("{other:?} is no operand"),
        }
    }

    /// Number of operands.
    pub fn inputs(&self) -> usize {
        self.step.inputs.len()
    }

    /// Type of operand `i`.
    pub fn input(&self, i: usize) -> &'a TensorType {
        &self.step.inputs[i].ty
    }

    /// Type of result `i`.
    pub fn output(&self, i: usize) -> &'a TensorType {
        &self.step.outputs[i].ty
    }

    /// Extents of operand `i`, a matrix.
    pub fn matrix(&self, i: usize) -> [usize; 2] {
        let shape = &self.input(i).shape;
        [shape[0], shape[1]]
    }

    /// A scratch buffer of `words` for this step.
    pub fn scratch(&mut self, words: usize) -> Binding {
        self.scratch.push(words);
        Binding::Scratch(self.scratch.len() - 1)
    }

    /// A scratch buffer of `n` activations, stored as `like` is.
    pub fn scratch_like(&mut self, like: &Binding, n: usize) -> Binding {
        if !self.is_half(like) {
            return self.scratch(n);
        }
        self.half_scratch.push(self.scratch.len());
        self.scratch(n.div_ceil(2))
    }

    /// A scratch buffer of `n` activations, in bf16 where products are.
    pub fn activations(&mut self, n: usize) -> Binding {
        match self.precision {
            Precision::F32 => self.scratch(n),
            Precision::Bf16 => {
                self.half_scratch.push(self.scratch.len());
                self.scratch(n.div_ceil(2))
            }
        }
    }

    /// A scratch buffer of `words` that no other step shares: what is small, so that launches of several steps can be joined.
    pub fn partials(&mut self, words: usize) -> Binding {
        self.partials.push(words);
        Binding::Partial(self.partials.len() - 1)
    }

    /// A buffer of `words` for an operand in bf16.
    pub fn rounded(&mut self, words: usize) -> Binding {
        self.rounded.push(words);
        Binding::Rounded(self.rounded.len() - 1)
    }

    /// Appends a launch of `blocks` blocks.
    pub fn launch(
        &mut self,
        kernel: &'static Kernel,
        bindings: Vec<Binding>,
        params: Vec<Param>,
        blocks: usize,
    ) {
        self.push(Launch::new(kernel, bindings, params, blocks));
    }

    /// Appends a launch. Where all its activations are in bf16 it is of that form; where some are, or where a kernel that knows
    /// only floats meets one, floats in scratch memory take their place.
    pub fn push(&mut self, mut launch: Launch) {
        let kernel = launch.kernel;
        let of_rows =
            launch.rows.iter_mut().flat_map(|row| kernel.row_pointers().bytes().zip(&mut row.pointers));
        let bound: Vec<(u8, &mut Binding)> =
            of_rows.chain(kernel.pointers().bytes().zip(&mut launch.bindings)).collect();
        let activations = || bound.iter().filter(|(letter, _)| b"ao".contains(letter));
        let half = activations().next().is_some() && activations().all(|(_, binding)| self.is_half(binding));
        launch.storage = if half { Storage::Half } else { Storage::Full };
        let mut before: Vec<(Binding, Binding)> = Vec::new();
        let mut after: Vec<(Binding, Binding)> = Vec::new();
        for (letter, binding) in bound {
            let fits = matches!(letter, b'h' | b'H') || half && matches!(letter, b'a' | b'o');
            if fits || !self.is_half(binding) {
                continue;
            }
            let known = before.iter().chain(&after).find(|(half, _)| half == binding);
            let floats = match known.map(|(_, floats)| floats.clone()) {
                Some(floats) => floats,
                None => self.scratch(self.numel(binding)),
            };
            let pair = (std::mem::replace(binding, floats.clone()), floats);
            // What is written may be read before, or be written in part.
            if !before.contains(&pair) {
                before.push(pair.clone());
            }
            if matches!(letter, b'w' | b'o') && !after.contains(&pair) {
                after.push(pair);
            }
        }
        for (half, floats) in before {
            let n = self.numel(&half);
            self.launches.push(widen(half, floats, n));
        }
        self.launches.push(launch);
        for (half, floats) in after {
            let n = self.numel(&half);
            self.launches.push(narrow(floats, half, n));
        }
    }

    /// Appends a launch over `rows`.
    pub fn launch_rows(
        &mut self,
        kernel: &'static Kernel,
        rows: Vec<Row<Binding>>,
        bindings: Vec<Binding>,
        params: Vec<Param>,
    ) {
        self.push(Launch::over(kernel, rows, bindings, params));
    }

    /// Appends a launch over one tensor of `n` elements, a block per piece; launches of other steps may be joined to it.
    pub fn launch_pieces(
        &mut self,
        kernel: &'static Kernel,
        tensor: Vec<Binding>,
        n: usize,
        bindings: Vec<Binding>,
        params: Vec<Param>,
    ) {
        self.launch_rows(kernel, vec![Row::of_pieces(tensor, n)], bindings, params);
    }

    /// Appends an elementwise launch: one thread per element. `n` becomes the first scalar.
    pub fn launch_elements(
        &mut self,
        kernel: &'static Kernel,
        bindings: Vec<Binding>,
        n: usize,
        params: &[Param],
    ) {
        let params = [&[Param::from(n)], params].concat();
        self.launch(kernel, bindings, params, n.div_ceil(ELEMENTS));
    }

    /// The same with a thread per eight elements, as in `shared/elements.cuh`.
    pub fn launch_eights(
        &mut self,
        kernel: &'static Kernel,
        bindings: Vec<Binding>,
        n: usize,
        params: &[Param],
    ) {
        let params = [&[Param::from(n)], params].concat();
        self.launch(kernel, bindings, params, n.div_ceil(8 * ELEMENTS));
    }
}
