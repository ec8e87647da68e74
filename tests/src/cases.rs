//! The case table: every op with shapes, attributes and operands that a kernel may get wrong. One row per op.
//!
//! Shapes are odd on purpose: single elements, lengths around the widths of vectors and blocks, several windows.

mod attention;
mod cached;
mod elementwise;
mod head;
mod optimizer;
mod products;
mod rowwise;

use golf_core::ops::Op;
use golf_core::tensor::{DType, Tensor};

/// One op on given operands.
#[derive(Clone, Debug)]
pub struct Case {
    /// What is special about it.
    pub name: String,
    /// The op.
    pub op: Op,
    /// Its operands, exact in f32.
    pub inputs: Vec<Tensor>,
    /// By how much it amplifies relative errors; see [`crate::tolerance::tolerance`].
    pub condition: f64,
    /// Whether differences approximate its derivative here.
    pub smooth: bool,
}

impl Case {
    /// A well-conditioned case.
    pub fn new(name: impl Into<String>, op: impl Into<Op>, inputs: Vec<Tensor>) -> Self {
        Self { name: name.into(), op: op.into(), inputs, condition: 1.0, smooth: true }
    }

    /// The same with a condition number.
    pub fn with_condition(mut self, condition: f64) -> Self {
        self.condition = condition;
        self
    }

    /// The same where the op has a kink or bends within the step of a difference.
    pub fn not_smooth(mut self) -> Self {
        self.smooth = false;
        self
    }

    /// Terms of its longest sum, taken to be the largest extent of an operand.
    pub fn terms(&self) -> usize {
        self.inputs.iter().flat_map(|x| x.shape()).copied().max().unwrap_or(1)
    }

    /// Number of floats among its operands.
    pub fn floats(&self) -> usize {
        self.inputs.iter().filter(|x| x.ty().dtype == DType::F32).map(|x| x.ty().numel()).sum()
    }
}

/// Makes the table and a match over the same rows: an op without a row does not compile.
macro_rules! table {
    ($($op:ident => $rows:path),* $(,)?) => {
        /// All cases; of the ops that the environment variable `CONFORMANCE_OPS` names (joined by commas), if it is set.
        pub fn all() -> Vec<Case> {
            let cases = [$($rows()),*].concat();
            let Ok(ops) = std::env::var("CONFORMANCE_OPS") else { return cases };
            println!("SKIPPED every op but {ops}, as `CONFORMANCE_OPS` says");
            cases.into_iter().filter(|case| ops.split(',').any(|op| op == case.op.def().name())).collect()
        }

        /// The cases of `op`'s kind, whatever its attributes.
        pub fn of(op: &Op) -> Vec<Case> {
            match op { $(Op::$op(_) => $rows()),* }
        }
    };
}

table! {
    Accumulate => elementwise::accumulate,
    AdamW => optimizer::adamw,
    Add => elementwise::add,
    AddScaled => rowwise::add_scaled,
    AddScaledGrad => rowwise::add_scaled_grad,
    Attention => attention::attention,
    AttentionCached => cached::attention_cached,
    AttentionGrad => attention::attention_grad,
    Average => elementwise::average,
    CacheWrite => cached::cache_write,
    ChannelAffine => rowwise::channel_affine,
    ChannelAffineGrad => rowwise::channel_affine_grad,
    ClipCoefficient => optimizer::clip_coefficient,
    Constant => elementwise::constant,
    Copy => elementwise::copy,
    Embed => head::embed,
    EmbedGrad => head::embed_grad,
    FakeQuant => products::fake_quant,
    GatedSkip => rowwise::gated_skip,
    GatedSkipGrad => rowwise::gated_skip_grad,
    HashBucket => head::hash_bucket,
    HashBucketAt => cached::hash_bucket_at,
    HeadCrossEntropy => head::head_cross_entropy,
    HeadCrossEntropyGrad => head::head_cross_entropy_grad,
    LeakyReluSquared => elementwise::leaky_relu_squared,
    LeakyReluSquaredGrad => elementwise::leaky_relu_squared_grad,
    Linear => products::linear,
    LinearActivation => products::linear_activation,
    LinearAdd => products::linear_add,
    LinearAddScaled => products::linear_add_scaled,
    LinearResidual => products::linear_residual,
    Mean => elementwise::mean,
    MuonApply => optimizer::muon_apply,
    NesterovMomentum => optimizer::nesterov_momentum,
    NewtonSchulz => products::newton_schulz,
    QkNormRope => rowwise::qk_norm_rope,
    QkNormRopeAt => cached::qk_norm_rope_at,
    QkNormRopeGrad => rowwise::qk_norm_rope_grad,
    ResidualMix => rowwise::residual_mix,
    ResidualMixGrad => rowwise::residual_mix_grad,
    ResidualMixNorm => rowwise::residual_mix_norm,
    ResidualMixNormGrad => rowwise::residual_mix_norm_grad,
    ResidualMixNormGradAdd => rowwise::residual_mix_norm_grad_add,
    RmsNorm => rowwise::rms_norm,
    RmsNormGrad => rowwise::rms_norm_grad,
    RmsNormGradAdd => rowwise::rms_norm_grad_add,
    Row => elementwise::row,
    RowGrad => elementwise::row_grad,
    ScaleBy => elementwise::scale_by,
    ScaleByGrad => elementwise::scale_by_grad,
    ScaleRows => rowwise::scale_rows,
    ScaleRowsGrad => rowwise::scale_rows_grad,
    Sgd => optimizer::sgd,
    SmearGate => rowwise::smear_gate,
    SmearGateCached => cached::smear_gate_cached,
    SmearGateGrad => rowwise::smear_gate_grad,
    SoftQuant => products::soft_quant,
    SoftQuantGrad => products::soft_quant_grad,
    Softcap => elementwise::softcap,
    SoftcapGrad => elementwise::softcap_grad,
    Spread => elementwise::spread,
    SumSquares => optimizer::sum_squares,
    Xsa => attention::xsa,
    XsaGrad => attention::xsa_grad,
}

/// Matrices `[n, d]` for ops that treat rows alike.
const MATRICES: [[usize; 2]; 5] = [[1, 1], [3, 5], [33, 31], [70, 48], [130, 257]];

/// Lengths for ops that treat elements alike; the last takes several pieces.
const LENGTHS: [usize; 4] = [1, 17, 1000, 40_001];
