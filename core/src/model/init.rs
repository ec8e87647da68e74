//! Initial weights, reproducible from a seed: one ChaCha8 stream per parameter, keyed by its name, so that adding a
//! parameter never changes the others.

use super::config::{Bigram, ModelConfig, Trigram};
use super::params::{Param, Role, parameters};
use crate::parallel::on_all_cores;
use crate::tensor::Tensor;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// How matrices start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Init {
    /// Uniform in ±1/√fan_in; the projection of a table that does not start at zero is zero (the baseline, PR #861).
    Uniform,
    /// Semi-orthogonal where both sides are at least 64, and for projections of tables, which are then divided by
    /// √(2·layers) (PR #264 and on).
    Orthogonal,
    /// As `Orthogonal` without that division (banked systems: PR #549, PR #1216 v10).
    OrthogonalBanked,
}

/// Standard normal deviates by the Box–Muller transform.
fn normal(rng: &mut ChaCha8Rng, n: usize) -> Vec<f64> {
    let mut out = Vec::with_capacity(n + 1);
    while out.len() < n {
        // 1 - u lies in (0, 1], where the logarithm is finite.
        let (u, v): (f64, f64) = (1.0 - rng.random::<f64>(), rng.random());
        let (radius, angle) = ((-2.0 * u.ln()).sqrt(), std::f64::consts::TAU * v);
        out.extend([radius * angle.cos(), radius * angle.sin()]);
    }
    out.truncate(n);
    out
}

/// A `[rows, cols]` matrix whose shorter side is orthonormal: modified Gram–Schmidt on Gaussian vectors, the same
/// distribution as QR with positive diagonal.
fn orthogonal(rng: &mut ChaCha8Rng, rows: usize, cols: usize) -> Vec<f64> {
    let (count, width) = (rows.min(cols), rows.max(cols));
    let mut basis = normal(rng, count * width);
    for i in 0..count {
        let (done, rest) = basis.split_at_mut(i * width);
        let current = &mut rest[..width];
        for previous in done.chunks_exact(width) {
            let along: f64 = previous.iter().zip(&*current).map(|(a, b)| a * b).sum();
            current.iter_mut().zip(previous).for_each(|(x, p)| *x -= along * p);
        }
        let norm = current.iter().map(|x| x * x).sum::<f64>().sqrt();
        current.iter_mut().for_each(|x| *x /= norm);
    }
    if rows <= cols {
        return basis;
    }
    (0..rows * cols).map(|i| basis[i % cols * width + i / cols]).collect()
}

fn stream(seed: u64, name: &str) -> ChaCha8Rng {
    let digest = Sha256::new().chain_update(seed.to_le_bytes()).chain_update(name).finalize();
    ChaCha8Rng::from_seed(digest.into())
}

fn values(config: &ModelConfig, init: Init, param: &Param, rng: &mut ChaCha8Rng) -> Vec<f64> {
    let n = param.numel();
    let gaussian = |rng: &mut ChaCha8Rng, std: f64| normal(rng, n).into_iter().map(|x| x * std).collect();
    let leaf = param.name.rsplit('.').next().unwrap_or_default();
    match param.role {
        Role::Token if param.name == "tok_emb.weight" => gaussian(rng, 0.005),
        Role::Token => vec![0.0; n],
        Role::Table if table_starts_at_zero(config, &param.name) => vec![0.0; n],
        Role::Table => gaussian(rng, 0.01),
        Role::Matrix if param.name.ends_with("attn.proj.weight") => vec![0.0; n],
        Role::Matrix if is_mlp_output(&param.name) => vec![0.0; n],
        Role::Matrix | Role::Projection => matrix(config, init, param, rng),
        Role::Control => match leaf {
            "scale" if param.name == "ve_shared.scale" => vec![0.1; n],
            "scale" if param.shape.is_empty() => {
                let reduced = config.trigram == Trigram::S1216 && param.name == "trigram.scale";
                vec![if reduced { 0.02 } else { 0.05 }; n]
            }
            "resid_mix" => (0..n).map(|i| if i < n / 2 { 1.0 } else { 0.0 }).collect(),
            "q_gain" => vec![config.q_gain; n],
            "gate" | "bias" | "skip_gates" => vec![0.0; n],
            _ => vec![1.0; n],
        },
    }
}

/// Whether the table that the parameter `name` belongs to starts at zero. Its projection must then not: of a product
/// of two zeros neither factor ever gets a gradient.
fn table_starts_at_zero(config: &ModelConfig, name: &str) -> bool {
    !name.starts_with("ve_shared") && config.bigram != Bigram::V2
}

fn is_mlp_output(name: &str) -> bool {
    name.ends_with("mlp.proj.weight") || name.ends_with("mlp.down_proj.weight")
}

fn matrix(config: &ModelConfig, init: Init, param: &Param, rng: &mut ChaCha8Rng) -> Vec<f64> {
    let [rows, cols] = [param.shape[0], param.shape[1]];
    let side = param.role == Role::Projection;
    let bound = 1.0 / (cols as f64).sqrt();
    let small = rows.min(cols) < 64;
    let may_be_zero = side && !table_starts_at_zero(config, &param.name);
    match init {
        Init::Uniform if may_be_zero => vec![0.0; rows * cols],
        Init::Orthogonal | Init::OrthogonalBanked if small && may_be_zero => vec![0.0; rows * cols],
        Init::Orthogonal | Init::OrthogonalBanked if !small || side => {
            let divide = side && init == Init::Orthogonal;
            let factor = if divide { 1.0 / (2.0 * config.layers as f64).sqrt() } else { 1.0 };
            orthogonal(rng, rows, cols).into_iter().map(|x| x * factor).collect()
        }
        _ => (0..rows * cols).map(|_| rng.random_range(-bound..bound)).collect(),
    }
}

/// Initial value of every parameter. Orthogonal matrices take seconds of one core, so parameters are made side by side.
pub fn initialize(config: &ModelConfig, init: Init, seed: u64) -> BTreeMap<String, Tensor> {
    let fresh = |param: &Param| {
        let values = values(config, init, param, &mut stream(seed, &param.name));
        (param.name.clone(), Tensor::f32(&param.shape, values.into_iter().map(|x| x as f32).collect()))
    };
    on_all_cores(&parameters(config), fresh).into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orthogonal_matrices_have_orthonormal_short_sides() {
        for (rows, cols) in [(64, 96), (96, 64), (64, 64)] {
            let w = orthogonal(&mut stream(1, "w"), rows, cols);
            let at = |i: usize, l: usize| if rows <= cols { w[i * cols + l] } else { w[l * cols + i] };
            for i in 0..rows.min(cols) {
                for j in 0..rows.min(cols) {
                    let dot: f64 = (0..rows.max(cols)).map(|l| at(i, l) * at(j, l)).sum();
                    let want = if i == j { 1.0 } else { 0.0 };
                    assert!((dot - want).abs() < 1e-10, "{rows}x{cols} ({i},{j}): {dot}");
                }
            }
        }
    }

    #[test]
    fn a_table_and_its_projection_are_never_both_zero() {
        let zero = |tensor: &Tensor| tensor.f32s().iter().all(|&x| x == 0.0);
        let small = ModelConfig {
            layers: 2,
            dim: 64,
            heads: 2,
            kv_heads: 1,
            hidden: 96,
            vocab: 64,
            ..Default::default()
        };
        for bigram in [Bigram::V1, Bigram::V2] {
            for (bigram_dim, init) in
                [(16, Init::Orthogonal), (96, Init::OrthogonalBanked), (16, Init::Uniform)]
            {
                let config = ModelConfig {
                    bigram,
                    bigram_buckets: 32,
                    bigram_dim,
                    trigram: Trigram::S951,
                    trigram_buckets: 32,
                    trigram_dim: 16,
                    ve_layers: vec![1],
                    ve_dim: 16,
                    ..small.clone()
                };
                let start = initialize(&config, init, 1);
                for table in ["bigram_emb", "bigram", "trigram", "ve_shared"] {
                    let part = |part| start.get(&format!("{table}.{part}.weight"));
                    let (Some(embed), Some(proj)) = (part("embed"), part("proj")) else { continue };
                    assert!(!(zero(embed) && zero(proj)), "{table} {bigram:?} {init:?}");
                }
            }
        }
    }

    #[test]
    fn a_seed_fixes_every_weight_and_another_seed_changes_them() {
        let config = ModelConfig {
            layers: 2,
            dim: 64,
            heads: 2,
            kv_heads: 1,
            hidden: 96,
            vocab: 64,
            ..Default::default()
        };
        let a = initialize(&config, Init::Orthogonal, 1337);
        assert_eq!(a, initialize(&config, Init::Orthogonal, 1337));
        assert_ne!(a["tok_emb.weight"], initialize(&config, Init::Orthogonal, 42)["tok_emb.weight"]);
        assert!(a["blocks.0.attn.proj.weight"].f32s().iter().all(|&x| x == 0.0));
    }
}
