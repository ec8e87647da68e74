//! One file per op, under the op's name; gradients beside their op.
//!
//! A kernel cuts its results into pieces, runs them on the launch's threads, and defines every element of every
//! result. It checks no shapes: the op's type rule has.

pub(super) mod adamw;
pub(super) mod add;
pub(super) mod add_scaled;
pub(super) mod attention;
pub(super) mod attention_cached;
pub(super) mod attention_grad;
pub(super) mod average;
pub(super) mod cache_write;
pub(super) mod channel_affine;
pub(super) mod clip_coefficient;
pub(super) mod constant;
pub(super) mod copy;
pub(super) mod embed;
pub(super) mod fake_quant;
pub(super) mod gated_skip;
pub(super) mod hash_bucket;
pub(super) mod hash_bucket_at;
pub(super) mod head_cross_entropy;
pub(super) mod leaky_relu_squared;
pub(super) mod linear;
pub(super) mod linear_activation;
pub(super) mod linear_add_scaled;
pub(super) mod linear_residual;
pub(super) mod mean;
pub(super) mod muon;
pub(super) mod qk_norm_rope;
pub(super) mod qk_norm_rope_at;
pub(super) mod residual_mix;
pub(super) mod residual_mix_norm;
pub(super) mod rms_norm;
pub(super) mod row;
pub(super) mod scale_by;
pub(super) mod scale_rows;
pub(super) mod sgd;
pub(super) mod smear_gate;
pub(super) mod smear_gate_cached;
pub(super) mod softcap;
pub(super) mod xsa;
