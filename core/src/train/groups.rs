//! From a recipe to optimizer groups and fake-quantization rules, by the roles of a model's parameters.
//!
//! Every parameter is in exactly one group, or only counted in the gradient norm.

use super::recipe::{Projections, QatRounding, QatScope, Recipe, Tables};
use crate::model::gpt::Weights;
use crate::model::{ModelConfig, Param, Role, parameters};
use crate::optim::{Group, Optimizer, Rule};
use crate::quant::{FakeQuantKind, FakeQuantRule, Scheme, Storage};

/// Which rule and rate a parameter has.
enum Place {
    Muon(f64),
    AdamW(f64),
    Counted,
}

fn place(config: &ModelConfig, recipe: &Recipe, param: &Param) -> Place {
    let later = param.block().is_some_and(|block| block >= config.encoder_layers());
    let factor = if later { recipe.decoder_lr_mult } else { 1.0 };
    let value = param.name.starts_with("ve_shared");
    if param.name.starts_with("trigram") && !recipe.train_trigram {
        return Place::Counted;
    }
    match (param.role, recipe.projections, recipe.tables) {
        (Role::Matrix, ..) => Place::Muon(recipe.matrix_lr * factor),
        (Role::Token, ..) | (Role::Table, _, Tables::Token) => Place::AdamW(recipe.token_lr),
        (Role::Projection, Projections::Muon, _) => Place::Muon(recipe.matrix_lr),
        (Role::Projection, Projections::ValueScalar, _) if !value => Place::Muon(recipe.matrix_lr),
        (Role::Table | Role::Projection | Role::Control, ..) => Place::AdamW(recipe.scalar_lr * factor),
    }
}

/// The optimizer of `recipe` over all parameters of `config`.
pub fn optimizer(config: &ModelConfig, recipe: &Recipe) -> Optimizer {
    let adamw = Rule::AdamW {
        beta1: recipe.beta1,
        beta2: recipe.beta2,
        epsilon: recipe.adam_eps,
        weight_decay: recipe.adam_weight_decay,
    };
    let muon = Rule::Muon { weight_decay: recipe.muon_weight_decay, decay_first: recipe.muon_decay_first };
    let mut optimizer =
        Optimizer { groups: Vec::new(), clip: recipe.grad_clip_norm, counted_only: Vec::new() };
    for param in parameters(config) {
        let (rule, lr) = match place(config, recipe, &param) {
            Place::Muon(lr) => (&muon, lr),
            Place::AdamW(lr) => (&adamw, lr),
            Place::Counted => {
                optimizer.counted_only.push(param.name);
                continue;
            }
        };
        match optimizer.groups.iter_mut().find(|g| g.rule == *rule && g.lr == lr) {
            Some(group) => group.params.push(param.name),
            None => optimizer.groups.push(Group { rule: rule.clone(), lr, params: vec![param.name] }),
        }
    }
    optimizer
}

/// Fake quantization of the parameters that the export quantizes and that the recipe's scope covers.
pub fn fake_quantized(config: &ModelConfig, recipe: &Recipe) -> Weights {
    let mut weights = Weights { soft: recipe.qat_rounding == QatRounding::Soft, ..Weights::default() };
    for param in parameters(config) {
        let (limit, layers) = (recipe.passthrough_max_elements, config.layers);
        let Storage::Quantized(scheme) = recipe.export.route(&param.name, &param.shape, limit, layers) else {
            continue;
        };
        let matrix = matches!(param.role, Role::Matrix | Role::Projection);
        let rule = match recipe.qat_scope {
            QatScope::System => recipe.export.fake_quant(&param.name, &param.shape),
            QatScope::Stored => matrix.then(|| training_rule(scheme)),
        };
        if let Some(rule) = rule {
            weights.fake_quant.insert(param.name, rule);
        }
    }
    weights
}

/// The training rule whose grid comes closest to the exporter's.
fn training_rule(scheme: Scheme) -> FakeQuantRule {
    let kind = match scheme {
        Scheme::S585 => FakeQuantKind::S585,
        Scheme::S861 => FakeQuantKind::S861,
        Scheme::PercentileFloor { .. } | Scheme::Q8 => FakeQuantKind::P549,
        _ => FakeQuantKind::Max,
    };
    FakeQuantRule::new(kind, scheme.c())
}

#[cfg(test)]
mod tests {
    use super::super::preset;
    use super::*;
    use crate::model::presets::PRESETS;
    use std::collections::BTreeSet;

    #[test]
    fn every_parameter_of_every_preset_is_in_exactly_one_group() {
        for name in PRESETS {
            for as_published in [false, true] {
                let preset = preset(name, as_published).expect("a listed preset exists");
                let optimizer = optimizer(&preset.model, &preset.recipe);
                let listed = optimizer.parameters();
                let unique: BTreeSet<&String> = listed.iter().collect();
                assert_eq!(
                    (unique.len(), listed.len()),
                    (listed.len(), parameters(&preset.model).len()),
                    "{name}"
                );
            }
        }
    }

    #[test]
    fn muon_gets_matrices_only_and_the_untrained_trigram_of_pr951_is_counted() {
        let published = preset("pr951", true).expect("a preset");
        let optimizer = optimizer(&published.model, &published.recipe);
        assert_eq!(
            optimizer.counted_only,
            ["trigram.embed.weight", "trigram.proj.weight", "trigram.scale"].map(String::from)
        );
        let shapes: std::collections::BTreeMap<_, _> =
            parameters(&published.model).into_iter().map(|p| (p.name, p.shape)).collect();
        for group in optimizer.groups.iter().filter(|g| matches!(g.rule, Rule::Muon { .. })) {
            assert!(group.params.iter().all(|p| shapes[p].len() == 2));
        }
    }

    #[test]
    fn pr861_doubles_its_decoder_and_keeps_value_embeddings_out_of_muon() {
        let preset = preset("pr861", true).expect("a preset");
        let optimizer = optimizer(&preset.model, &preset.recipe);
        let of = |name: &str| {
            let group = optimizer.groups.iter().find(|g| g.params.iter().any(|p| p == name));
            let group = group.expect("every parameter has a group");
            (matches!(group.rule, Rule::Muon { .. }), group.lr)
        };
        assert_eq!(of("blocks.4.attn.c_q.weight"), (true, 0.025));
        assert_eq!(of("blocks.5.attn.c_q.weight"), (true, 0.05));
        assert_eq!(of("blocks.10.attn_scale"), (false, 0.05));
        assert_eq!(of("ve_shared.proj.weight"), (false, 0.025));
        assert_eq!(of("ve_shared.embed.weight"), (false, 0.025));
        assert_eq!(of("bigram_emb.proj.weight"), (true, 0.025));
        assert_eq!(of("tok_emb.weight"), (false, 0.035));
    }

    fn preset_of(name: &str) -> Weights {
        let preset = preset(name, false).expect("a preset");
        fake_quantized(&preset.model, &preset.recipe)
    }

    #[test]
    fn training_sees_only_what_the_file_will_hold_quantized() {
        let weights = preset_of("pr585");
        assert!(weights.fake_quant.contains_key("blocks.0.mlp.fc.weight"));
        assert!(!weights.fake_quant.contains_key("bigram.proj.weight"), "65,536 elements stay fp16");
        assert_eq!(weights.fake_quant.len(), 66);
        let blocks = preset_of("pr549");
        assert_eq!(blocks.fake_quant.len(), 66, "PR #549's own rules cover no matrix of a block");
        assert!(blocks.fake_quant.values().all(|rule| rule.c == 31));
    }
}
