//! From a step of a plan to launches of kernels: the form that every `kernels/<op>.rs` writes.
//!
//! Lowering is pure: it sees types, attributes and what the adapter can do, never a device. So which variant runs where
//! can be tested, and printed, on a machine without a GPU.

use crate::kernel::{Kernel, Param};
use golf_core::plan::Step;
use golf_core::tensor::TensorType;

/// What an adapter can do beyond WebGPU's defaults, as far as kernels care.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// Subgroup operations in compute shaders.
    pub subgroups: bool,
    /// 16-bit floats in shaders.
    pub f16: bool,
}

/// A constant table that the executor uploads once per device.
#[derive(Clone, Debug, PartialEq)]
pub enum Table {
    /// `f32[seq, dims/2, 2]`: cosine and sine of every rotary angle, formed in f64.
    Rope {
        /// Positions.
        seq: usize,
        /// Rotated channels.
        dims: usize,
        /// Rotary base.
        base: f64,
    },
}

/// A buffer bound by a launch.
#[derive(Clone, Debug, PartialEq)]
pub enum Binding {
    /// Operand of the step.
    Input(usize),
    /// Result of the step; an in-place pair is bound once, as the result.
    Output(usize),
    /// Scratch buffer by index; lives for the step only.
    Scratch(usize),
    /// Constant table.
    Table(Table),
}

/// A kernel over so many workgroups.
#[derive(Clone, Debug)]
pub struct Launch {
    /// The kernel.
    pub kernel: &'static Kernel,
    /// Its storage buffers in order.
    pub bindings: Vec<Binding>,
    /// Words after `base` of its uniform struct.
    pub params: Vec<Param>,
    /// Workgroups.
    pub groups: usize,
    /// Floating-point operations, for cutting long launches; 0 where negligible.
    pub flops: u64,
}

/// A step under lowering.
pub struct Lowering<'a> {
    step: &'a Step,
    /// What the adapter can do.
    pub capabilities: Capabilities,
    /// Launches so far, in order.
    pub launches: Vec<Launch>,
    /// Words of every scratch buffer.
    pub scratch: Vec<usize>,
}

impl<'a> Lowering<'a> {
    /// An empty lowering of `step`.
    pub fn new(step: &'a Step, capabilities: Capabilities) -> Self {
        Self { step, capabilities, launches: Vec::new(), scratch: Vec::new() }
    }

    /// Number of operands.
    pub fn inputs(&self) -> usize {
        self.step.inputs.len()
    }

    /// Number of results.
    pub fn outputs(&self) -> usize {
        self.step.outputs.len()
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

    /// Appends a launch of `groups` workgroups.
    pub fn launch(
        &mut self,
        kernel: &'static Kernel,
        bindings: Vec<Binding>,
        params: Vec<Param>,
        groups: usize,
    ) {
        self.launch_counted(kernel, bindings, params, groups, 0);
    }

    /// Appends a launch whose floating-point operations matter.
    pub fn launch_counted(
        &mut self,
        kernel: &'static Kernel,
        bindings: Vec<Binding>,
        params: Vec<Param>,
        groups: usize,
        flops: u64,
    ) {
        assert_eq!(bindings.len(), kernel.access.len(), "bindings of kernel `{}`", kernel.name);
        self.launches.push(Launch { kernel, bindings, params, groups, flops });
    }

    /// Appends an elementwise launch: one invocation per element, 256 to a workgroup. `n` becomes the first
    /// parameter.
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
}

/// Invocations of a workgroup of an elementwise kernel.
pub const ELEMENTS: usize = 256;
