//! Kernels, one `.cu` and one lowering per op under the op's name, and the one match over all ops: exhaustive, so that
//! a new op does not compile without a kernel.

mod adamw;
mod add;
mod add_scaled;
mod attention;
mod attention_bf16;
mod attention_cached;
mod attention_grad;
mod average;
mod cache_write;
mod channel_affine;
mod clip_coefficient;
mod column_sums;
mod copy;
mod embed;
mod embed_grad;
mod fake_quant;
mod fill;
mod gated_skip;
mod hash_bucket;
mod head_cross_entropy;
mod leaky_relu_squared;
mod linear;
mod muon;
mod newton_schulz;
mod product_check;
mod product_library;
mod qk_norm_rope;
mod residual_mix;
mod residual_mix_norm;
mod rms_norm;
mod round_bf16;
mod row;
mod scale_rows;
mod sgd;
mod smear_gate;
mod softcap;
mod spread;
mod sums;
mod warps;
mod xsa;

pub(crate) use fill::fill;
pub(crate) use product_check::{DIFFERENCES, largest_difference, noise, own_product};
pub(crate) use product_library::{round, round_rows, rounded_words, rounds};
pub(crate) use round_bf16::{narrow, widen};

use crate::kernel::Kernel;
use crate::lower::Lowering;
use golf_core::ops::Op;

/// Appends the launches of `op`. The variant of a kernel is chosen here, by types, shapes and [`Lowering::precision`] only.
pub fn lower(op: &Op, low: &mut Lowering<'_>) {
    match op {
        Op::Accumulate(_) => add::accumulate(low),
        Op::AdamW(op) => adamw::adamw(op, low),
        Op::Add(_) => add::add(low),
        Op::AddScaled(_) => add_scaled::add_scaled(low),
        Op::AddScaledGrad(_) => add_scaled::grad(low),
        Op::Attention(op) => attention::attention(op, low),
        Op::AttentionCached(op) => attention_cached::attention_cached(op, low),
        Op::AttentionGrad(op) => attention_grad::attention_grad(op, low),
        Op::Average(_) => average::average(low),
        Op::CacheWrite(_) => cache_write::cache_write(low),
        Op::ChannelAffine(_) => channel_affine::channel_affine(low),
        Op::ChannelAffineGrad(_) => channel_affine::grad(low),
        Op::ClipCoefficient(op) => clip_coefficient::clip_coefficient(op, low),
        Op::Constant(op) => fill::constant(op, low),
        Op::Copy(_) => copy::copy(low),
        Op::Embed(_) => embed::embed(low),
        Op::EmbedGrad(op) => embed_grad::embed_grad(op, low),
        Op::FakeQuant(op) => fake_quant::fake_quant(op, low),
        Op::GatedSkip(_) => gated_skip::gated_skip(low),
        Op::GatedSkipGrad(_) => gated_skip::grad(low),
        Op::HashBucket(op) => hash_bucket::hash_bucket(op, low),
        Op::HashBucketAt(op) => hash_bucket::at(op, low),
        Op::HeadCrossEntropy(op) => head_cross_entropy::head_cross_entropy(op, low),
        Op::HeadCrossEntropyGrad(op) => head_cross_entropy::grad(op, low),
        Op::LeakyReluSquared(op) => leaky_relu_squared::leaky_relu_squared(op, low),
        Op::LeakyReluSquaredGrad(op) => leaky_relu_squared::grad(op, low),
        Op::Linear(op) => linear::linear(op, low),
        Op::LinearActivation(op) => linear::activation(op, low),
        Op::LinearAdd(op) => linear::add(op, low),
        Op::LinearAddScaled(_) => linear::add_scaled(low),
        Op::LinearResidual(_) => linear::residual(low),
        Op::Mean(_) => sums::mean(low),
        Op::MuonApply(op) => muon::apply(op, low),
        Op::NesterovMomentum(_) => muon::nesterov_momentum(low),
        Op::NewtonSchulz(op) => newton_schulz::newton_schulz(op, low),
        Op::QkNormRope(op) => qk_norm_rope::qk_norm_rope(op, low),
        Op::QkNormRopeAt(op) => qk_norm_rope::at(op, low),
        Op::QkNormRopeGrad(op) => qk_norm_rope::grad(op, low),
        Op::ResidualMix(_) => residual_mix::residual_mix(low),
        Op::ResidualMixGrad(_) => residual_mix::grad(low),
        Op::ResidualMixNorm(op) => residual_mix_norm::residual_mix_norm(op, low),
        Op::ResidualMixNormGrad(op) => residual_mix_norm::grad(op, low),
        Op::ResidualMixNormGradAdd(op) => residual_mix_norm::grad_add(op, low),
        Op::RmsNorm(op) => rms_norm::rms_norm(op, low),
        Op::RmsNormGrad(op) => rms_norm::grad(op, low),
        Op::RmsNormGradAdd(op) => rms_norm::grad_add(op, low),
        Op::Row(op) => row::row(op, low),
        Op::RowGrad(op) => row::grad(op, low),
        Op::ScaleBy(_) => sums::scale_by(low),
        Op::ScaleByGrad(_) => sums::scale_by_grad(low),
        Op::ScaleRows(_) => scale_rows::scale_rows(low),
        Op::ScaleRowsGrad(_) => scale_rows::grad(low),
        Op::Sgd(op) => sgd::sgd(op, low),
        Op::SmearGate(op) => smear_gate::smear_gate(op, low),
        Op::SmearGateCached(_) => smear_gate::cached(low),
        Op::SmearGateGrad(op) => smear_gate::grad(op, low),
        Op::SoftQuant(op) => fake_quant::soft(op, low),
        Op::SoftQuantGrad(op) => fake_quant::soft_grad(op, low),
        Op::Softcap(op) => softcap::softcap(op, low),
        Op::SoftcapGrad(op) => softcap::grad(op, low),
        Op::Spread(op) => spread::spread(op, low),
        Op::SumSquares(_) => clip_coefficient::sum_squares(low),
        Op::Xsa(op) => xsa::xsa(op, low),
        Op::XsaGrad(op) => xsa::grad(op, low),
    }
}

/// Every kernel of this crate, all variants.
pub fn all() -> Vec<&'static Kernel> {
    [
        adamw::KERNELS,
        add::KERNELS,
        add_scaled::KERNELS,
        attention::KERNELS,
        attention_cached::KERNELS,
        attention_grad::KERNELS,
        average::KERNELS,
        cache_write::KERNELS,
        channel_affine::KERNELS,
        clip_coefficient::KERNELS,
        column_sums::KERNELS,
        copy::KERNELS,
        embed::KERNELS,
        embed_grad::KERNELS,
        fake_quant::KERNELS,
        fill::KERNELS,
        gated_skip::KERNELS,
        hash_bucket::KERNELS,
        leaky_relu_squared::KERNELS,
        muon::KERNELS,
        newton_schulz::KERNELS,
        product_check::KERNELS,
        product_library::KERNELS,
        qk_norm_rope::KERNELS,
        residual_mix::KERNELS,
        residual_mix_norm::KERNELS,
        rms_norm::KERNELS,
        round_bf16::KERNELS,
        row::KERNELS,
        scale_rows::KERNELS,
        sgd::KERNELS,
        smear_gate::KERNELS,
        softcap::KERNELS,
        spread::KERNELS,
        sums::KERNELS,
        xsa::KERNELS,
        &attention_bf16::kernels(),
        &head_cross_entropy::kernels(),
        &linear::kernels(),
    ]
    .concat()
}
