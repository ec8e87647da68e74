//! The operations of a graph: what each means, once, independent of any backend.
//!
//! An op is layer-sized (`attention`, `rms_norm`, not `mul`), closed under differentiation, and stands in its own
//! file together with its gradient: types, meaning in f64 (the oracle), gradient. How it is computed fast is a
//! *kernel*, and lives in a backend under the same file stem.
//!
//! Letters in signatures: `b` batch rows, `t` positions, `n = b·t` tokens, `d` channels, `h` heads, `v` vocabulary.

mod adamw;
mod add;
mod add_scaled;
mod args;
mod attention;
mod attention_cached;
mod average;
mod cache_write;
mod channel_affine;
mod clip_coefficient;
mod constant;
mod copy;
mod embed;
mod fake_quant;
mod gated_skip;
mod hash_bucket;
mod hash_bucket_at;
mod head_cross_entropy;
mod leaky_relu_squared;
mod linear;
mod linear_activation;
mod linear_add;
mod linear_add_scaled;
mod linear_residual;
mod mean;
mod muon;
mod qk_norm_rope;
mod qk_norm_rope_at;
mod residual_mix;
mod residual_mix_norm;
mod rms_norm;
mod row;
mod scale_by;
mod scale_rows;
mod sgd;
mod smear_gate;
mod smear_gate_cached;
mod softcap;
mod xsa;

use crate::graph::{Graph, ValueId};
use crate::tensor::{Tensor, TensorType};
use thiserror::Error;

pub use adamw::AdamW;
pub use add::{Accumulate, Add};
pub use add_scaled::{AddScaled, AddScaledGrad};
pub use attention::{Attention, AttentionGrad};
pub use attention_cached::AttentionCached;
pub use average::Average;
pub use cache_write::CacheWrite;
pub use channel_affine::{ChannelAffine, ChannelAffineGrad};
pub use clip_coefficient::{ClipCoefficient, SumSquares};
pub use constant::Constant;
pub use copy::Copy;
pub use embed::{Embed, EmbedGrad};
pub use fake_quant::{FakeQuant, SoftQuant, SoftQuantGrad};
pub use gated_skip::{GatedSkip, GatedSkipGrad};
pub use hash_bucket::{HashBucket, HashKind, HashTerms};
pub use hash_bucket_at::{HASH_HISTORY, HashBucketAt};
pub use head_cross_entropy::{HeadCrossEntropy, HeadCrossEntropyGrad};
pub use leaky_relu_squared::{LeakyReluSquared, LeakyReluSquaredGrad};
pub use linear::{Linear, LinearForm};
pub use linear_activation::LinearActivation;
pub use linear_add::LinearAdd;
pub use linear_add_scaled::LinearAddScaled;
pub use linear_residual::LinearResidual;
pub use mean::{Mean, Spread};
pub use muon::{LARGEST_BANK, MuonApply, NEWTON_SCHULZ_COEFFICIENTS, NesterovMomentum, NewtonSchulz};
pub use qk_norm_rope::{QkNormRope, QkNormRopeGrad, rope_angle, rope_table};
pub use qk_norm_rope_at::QkNormRopeAt;
pub use residual_mix::{ResidualMix, ResidualMixGrad};
pub use residual_mix_norm::{ResidualMixNorm, ResidualMixNormGrad, ResidualMixNormGradAdd};
pub use rms_norm::{RMS_EPSILON, RmsNorm, RmsNormGrad, RmsNormGradAdd};
pub use row::{Row, RowGrad};
pub use scale_by::{ScaleBy, ScaleByGrad};
pub use scale_rows::{ScaleRows, ScaleRowsGrad};
pub use sgd::Sgd;
pub use smear_gate::{SmearGate, SmearGateGrad};
pub use smear_gate_cached::SmearGateCached;
pub use softcap::{Softcap, SoftcapGrad};
pub use xsa::{Xsa, XsaGrad};

/// Why an op refused its operands.
#[derive(Clone, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum OpError {
    /// Wrong number of operands.
    #[error("`{op}`: expected {expected} operands, got {got}")]
    Arity {
        /// Name of the op.
        op: &'static str,
        /// Number of operands that it takes.
        expected: usize,
        /// Number that it was given.
        got: usize,
    },
    /// Too many operands, or none, where their number is free.
    #[error("`{op}`: expected 1 to {most} operands, got {got}")]
    Count {
        /// Name of the op.
        op: &'static str,
        /// Largest number of operands that it takes.
        most: usize,
        /// Number that it was given.
        got: usize,
    },
    /// An operand of the wrong type.
    #[error("`{op}`: operand {operand}: expected {expected}, got `{got}`")]
    Operand {
        /// Name of the op.
        op: &'static str,
        /// Index of the operand.
        operand: usize,
        /// What it takes there.
        expected: String,
        /// What it was given.
        got: TensorType,
    },
    /// The op has no derivative.
    #[error("`{op}` has no gradient")]
    NoGradient {
        /// Name of the op.
        op: &'static str,
    },
}

/// A node as its gradient rule sees it.
pub struct Site<'a> {
    /// Operands.
    pub inputs: &'a [ValueId],
    /// Results.
    pub outputs: &'a [ValueId],
    /// Gradient of the loss towards each result, where there is one.
    pub grads: &'a [Option<ValueId>],
    /// Which operands need a gradient.
    pub wanted: &'a [bool],
}

impl Site<'_> {
    /// Gradient towards result `i`; autodiff visits a node only when result 0 has one.
    pub fn grad(&self, i: usize) -> ValueId {
        self.grads[i].expect("autodiff visits a node only when its first result has a gradient")
    }
}

/// The definition of an op: its types, its meaning, its derivative.
pub trait OpDef {
    /// The op's name, snake_case; the file stem of every kernel for it.
    fn name(&self) -> &'static str;

    /// Types of the results for operands of the given types.
    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, OpError>;

    /// Computes the results in f64. `outputs` are zeroed; for results named by [`OpDef::in_place`] they hold the
    /// operand's values instead, and that operand is also still readable in `inputs`.
    fn eval(&self, inputs: &[&Tensor], outputs: &mut [Tensor]);

    /// [`OpDef::eval`] as it comes out where single precision is part of the op's definition, for the oracle's measurement of
    /// roundings ([`crate::reference::Reference::with_noise`]).
    fn eval_rounded(&self, inputs: &[&Tensor], outputs: &mut [Tensor]) {
        self.eval(inputs, outputs);
    }

    /// Appends the nodes that compute the gradients towards the wanted operands.
    fn grad(&self, _graph: &mut Graph, _site: &Site<'_>) -> Result<Vec<Option<ValueId>>, OpError> {
        Err(OpError::NoGradient { op: self.name() })
    }

    /// Pairs `(result, operand)` that share one buffer: the kernel overwrites the operand.
    fn in_place(&self) -> &'static [(usize, usize)] {
        &[]
    }

    /// Floating-point operations (a multiply-add counts two), for plans' cost tables; 0 where negligible.
    fn flops(&self, _inputs: &[&TensorType]) -> u64 {
        0
    }
}

/// Declares the closed set of ops: the enum, the one match to a definition, the conversions.
macro_rules! closed_set {
    ($($op:ident),* $(,)?) => {
        /// One operation with its attributes.
        #[derive(Clone, Debug, PartialEq)]
        #[allow(missing_docs, reason = "each variant is documented at the struct it wraps")]
        pub enum Op { $($op($op)),* }

        impl Op {
            /// The op's definition.
            pub fn def(&self) -> &dyn OpDef {
                match self { $(Op::$op(op) => op),* }
            }
        }

        $(impl From<$op> for Op {
            fn from(op: $op) -> Op { Op::$op(op) }
        })*
    };
}

closed_set! {
    Accumulate, AdamW, Add, AddScaled, AddScaledGrad, Attention, AttentionCached, AttentionGrad, Average, CacheWrite,
    ChannelAffine, ChannelAffineGrad, ClipCoefficient, Constant, Copy, Embed, EmbedGrad, FakeQuant, GatedSkip,
    GatedSkipGrad, HashBucket, HashBucketAt, HeadCrossEntropy, HeadCrossEntropyGrad, LeakyReluSquared,
    LeakyReluSquaredGrad, Linear, LinearActivation, LinearAdd, LinearAddScaled, LinearResidual, Mean, MuonApply,
    NesterovMomentum, NewtonSchulz, QkNormRope, QkNormRopeAt, QkNormRopeGrad, ResidualMix, ResidualMixGrad, ResidualMixNorm,
    ResidualMixNormGrad, ResidualMixNormGradAdd, RmsNorm, RmsNormGrad, RmsNormGradAdd, Row, RowGrad, ScaleBy, ScaleByGrad, ScaleRows, ScaleRowsGrad,
    Sgd, SmearGate, SmearGateCached, SmearGateGrad, SoftQuant, SoftQuantGrad, Softcap, SoftcapGrad, Spread, SumSquares, Xsa, XsaGrad,
}

/// The operand's values in f64, dequantized when the type is a packed one.
fn floats(tensor: &Tensor) -> std::borrow::Cow<'_, [f64]> {
    match tensor.ty().dtype.quant_bits() {
        None => tensor.f64s().into(),
        Some(bits) => {
            let [rows, cols] = [tensor.shape()[0], tensor.shape()[1]];
            let values = crate::quant::pack::dequantize(bits, tensor.words(), rows, cols);
            values.into_iter().map(f64::from).collect::<Vec<_>>().into()
        }
    }
}
