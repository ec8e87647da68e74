//! Which kernel computes which op: the one match, exhaustive, so that a new op does not compile without one.

use super::kernels::*;
use super::launch::Launch;
use crate::ops::Op;

/// Runs the kernel of `op`.
pub(super) fn launch(op: &Op, launch: Launch<'_>) {
    match op {
        Op::Accumulate(_) => add::accumulate(launch),
        Op::AdamW(op) => adamw::run(op, launch),
        Op::Add(_) => add::run(launch),
        Op::AddScaled(_) => add_scaled::run(launch),
        Op::AddScaledGrad(_) => add_scaled::grad(launch),
        Op::Attention(op) => attention::run(op, launch),
        Op::AttentionGrad(op) => attention_grad::run(op, launch),
        Op::Average(_) => average::run(launch),
        Op::ChannelAffine(_) => channel_affine::run(launch),
        Op::ChannelAffineGrad(_) => channel_affine::grad(launch),
        Op::ClipCoefficient(op) => clip_coefficient::run(op, launch),
        Op::Constant(op) => constant::run(op, launch),
        Op::Copy(_) => copy::run(launch),
        Op::Embed(_) => embed::run(launch),
        Op::EmbedGrad(op) => embed::grad(op, launch),
        Op::FakeQuant(op) => fake_quant::run(op, launch),
        Op::GatedSkip(_) => gated_skip::run(launch),
        Op::GatedSkipGrad(_) => gated_skip::grad(launch),
        Op::HashBucket(op) => hash_bucket::run(op, launch),
        Op::HeadCrossEntropy(op) => head_cross_entropy::run(op, launch),
        Op::HeadCrossEntropyGrad(op) => head_cross_entropy::grad(op, launch),
        Op::LeakyReluSquared(op) => leaky_relu_squared::run(op, launch),
        Op::LeakyReluSquaredGrad(op) => leaky_relu_squared::grad(op, launch),
        Op::Linear(op) => linear::run(op, launch),
        Op::Mean(_) => mean::run(launch),
        Op::MuonApply(op) => muon::apply(op, launch),
        Op::NesterovMomentum(_) => muon::nesterov_momentum(launch),
        Op::NewtonSchulz(op) => muon::newton_schulz(op, launch),
        Op::QkNormRope(op) => qk_norm_rope::run(op, launch),
        Op::QkNormRopeGrad(op) => qk_norm_rope::grad(op, launch),
        Op::ResidualMix(_) => residual_mix::run(launch),
        Op::ResidualMixGrad(_) => residual_mix::grad(launch),
        Op::RmsNorm(op) => rms_norm::run(op, launch),
        Op::RmsNormGrad(op) => rms_norm::grad(op, launch),
        Op::Row(op) => row::run(op, launch),
        Op::RowGrad(op) => row::grad(op, launch),
        Op::ScaleBy(_) => scale_by::run(launch),
        Op::ScaleByGrad(_) => scale_by::grad(launch),
        Op::Sgd(op) => sgd::run(op, launch),
        Op::SmearGate(op) => smear_gate::run(op, launch),
        Op::SmearGateGrad(op) => smear_gate::grad(op, launch),
        Op::Softcap(op) => softcap::run(op, launch),
        Op::SoftcapGrad(op) => softcap::grad(op, launch),
        Op::Spread(op) => mean::spread(op, launch),
        Op::SumSquares(_) => clip_coefficient::sum_squares(launch),
        Op::Xsa(op) => xsa::run(op, launch),
        Op::XsaGrad(op) => xsa::grad(op, launch),
    }
}
