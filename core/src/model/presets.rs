//! The published systems as model configurations.
//!
//! Structure only; how each is trained, averaged and quantized is a recipe ([`crate::train::recipe`]).
//! Sources: openai/parameter-golf, the baseline of 2026-03-17 and PRs #264, #549, #585, #861, #951, #1216.

use super::config::{Activation, Bigram, ModelConfig, Names, Skips, Trigram};

/// Names of all presets, in the order that help texts print them.
pub const PRESETS: [&str; 9] =
    ["baseline", "pr264", "pr549", "pr585", "pr861", "pr951", "pr1216-v7", "pr1216-v10", "pr1216-v11"];

/// The model of a preset.
pub fn model(name: &str) -> Option<ModelConfig> {
    let base = ModelConfig::default();
    let bigram = |buckets, dim| ModelConfig {
        layers: 11,
        hidden: 1536,
        smear: true,
        bigram: Bigram::V1,
        bigram_buckets: buckets,
        bigram_dim: dim,
        ..ModelConfig::default()
    };
    let late = |layers: usize, buckets, dim, xsa_last_n| ModelConfig {
        layers,
        act: Activation::Leaky2,
        ve_layers: vec![layers - 2, layers - 1],
        ve_dim: 128,
        xsa_last_n,
        rope_dims: 16,
        ln_scale: true,
        ..bigram(buckets, dim)
    };
    Some(match name {
        "baseline" => base,
        "pr264" => bigram(2048, 64),
        "pr549" => ModelConfig { rope_ntk: true, ..late(11, 1536, 128, 4) },
        "pr585" => ModelConfig {
            kv_heads: 8,
            hidden: 1792,
            act: Activation::Relu2,
            rope_ntk: true,
            ..late(11, 8192, 128, 11)
        },
        "pr861" => ModelConfig {
            kv_heads: 8,
            act: Activation::Leaky2Affine,
            bigram: Bigram::V2,
            skips: Skips::Gated,
            names: Names::S861,
            ..late(11, 4096, 128, 4)
        },
        "pr951" => ModelConfig {
            layers: 16,
            hidden: 1792,
            act: Activation::Leaky2,
            trigram: Trigram::S951,
            trigram_buckets: 10240,
            trigram_dim: 64,
            rope_dims: 16,
            kv_share: -1,
            ..bigram(20480, 128)
        },
        "pr1216-v7" | "pr1216-v10" => late(12, 10240, 128, 4),
        "pr1216-v11" => late(11, 3072, 112, 11),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::params::parameter_count;

    #[test]
    fn parameter_counts_equal_the_published_ones() {
        let published = [
            ("baseline", 17_059_912),
            ("pr264", 26_666_073),
            ("pr549", 26_928_220),
            ("pr585", 33_580_124),
            ("pr861", 30_208_603),
            ("pr951", 41_947_778),
            ("pr1216-v7", 30_404_196),
            ("pr1216-v10", 30_404_196),
            ("pr1216-v11", 27_067_484),
        ];
        for (name, count) in published {
            let config = model(name).expect("a listed preset exists");
            config.check().expect("a preset is valid");
            assert_eq!(parameter_count(&config), count, "{name}");
        }
        assert_eq!(published.map(|(name, _)| name), PRESETS);
    }

    #[test]
    fn rotary_base_is_rescaled_beyond_the_training_length() {
        let config = model("pr585").expect("a listed preset exists");
        assert!((config.rope_base_for(2048) - 22081.790273476247).abs() < 1e-9);
        assert_eq!(config.rope_base_for(1024), 10000.0);
    }
}
