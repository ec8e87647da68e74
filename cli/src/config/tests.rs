//! Precedence, types, hints and origins.

use super::*;
use serde_json::Value;

fn resolve(given: &Given) -> Result<Resolved, ConfigError> {
    Resolved::new(given, |_| Ok(2048))
}

fn flag(key: &str, value: &str) -> (String, String, String) {
    (format!("--set {key}"), key.to_owned(), value.to_owned())
}

fn file(text: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.toml");
    std::fs::write(&path, text).unwrap();
    (folder, path)
}

#[test]
fn the_table_lists_exactly_the_fields_of_the_configuration() {
    let preset = golf_core::train::preset(DEFAULT_PRESET, false).unwrap();
    let config = Config { model: preset.model, recipe: preset.recipe, run: RunSettings::default() };
    let values = serde_json::to_value(&config).unwrap();
    let mut fields = Vec::new();
    for (section, inner) in values.as_object().unwrap() {
        fields.extend(inner.as_object().unwrap().keys().map(|field| format!("{section}.{field}")));
    }
    fields.sort();
    let mut keys: Vec<String> = SETTINGS.iter().map(|s| s.key.to_owned()).collect();
    keys.sort();
    assert_eq!(keys, fields);
}

#[test]
fn the_command_line_beats_the_environment_beats_the_file_beats_the_preset() {
    let (_folder, path) = file(
        "preset = \"pr549\"\niterations = 100\n[recipe]\nmatrix_lr = 1\nscalar_lr = 0.5\n[model]\nve_layers = [3, 4]\n",
    );
    let mut given = Given { file: Some(path.clone()), ..Given::default() };
    let from_file = resolve(&given).unwrap();
    assert_eq!((from_file.config.recipe.iterations, from_file.config.recipe.matrix_lr), (100, 1.0));
    assert_eq!(
        (from_file.config.model.bigram_buckets, &from_file.config.model.ve_layers[..]),
        (1536, &[3, 4][..])
    );
    given.env = [("ITERATIONS", "200"), ("MATRIX_LR", "2")].map(|(k, v)| (k.into(), v.into())).into();
    given.flags = vec![flag("iterations", "300")];
    let all = resolve(&given).unwrap();
    let recipe = &all.config.recipe;
    assert_eq!(
        (recipe.iterations, recipe.matrix_lr, recipe.scalar_lr, recipe.token_lr),
        (300, 2.0, 0.5, 0.035)
    );
    let lines = all.lines(false);
    assert!(lines.contains(&"iterations = 300  (flag --set iterations)".to_owned()), "{lines:?}");
    assert!(lines.contains(&"matrix_lr = 2.0  (env MATRIX_LR)".to_owned()), "{lines:?}");
    assert!(lines.contains(&format!("scalar_lr = 0.5  (file {})", path.display())), "{lines:?}");
    assert!(all.lines(true).contains(&"token_lr = 0.035  (preset pr549)".to_owned()));
    assert_eq!(all.json()["settings"]["recipe.iterations"]["value"], Value::from(300));
}

#[test]
fn the_named_preset_beats_the_files() {
    let (_folder, path) = file("preset = \"pr549\"\n");
    let given = Given { file: Some(path), preset: Some("nano".into()), ..Given::default() };
    assert_eq!(resolve(&given).unwrap().preset, "nano");
    let unknown = Given { preset: Some("pr1".into()), ..Given::default() };
    assert!(resolve(&unknown).unwrap_err().to_string().contains("pr549"));
}

#[test]
fn unknown_keys_are_errors_with_the_closest_known_one() {
    let given = Given { flags: vec![flag("matrix_rl", "0.1")], ..Given::default() };
    let message = resolve(&given).unwrap_err().to_string();
    assert_eq!(
        message,
        "unknown setting `matrix_rl` (flag --set matrix_rl)\nhint: did you mean `matrix_lr`?"
    );
    let (_folder, path) = file("[model]\nlayer = 3\n");
    let given = Given { file: Some(path), ..Given::default() };
    assert!(resolve(&given).unwrap_err().to_string().contains("did you mean `model.layers`?"));
}

#[test]
fn values_of_another_type_are_errors_that_say_where() {
    for (key, value, expected) in [
        ("iterations", "many", "a whole number"),
        ("iterations", "-1", "steps at most"),
        ("checkpoint_keep", "-1", "checkpoints to keep"),
        ("matrix_lr", "fast", "a number"),
        ("matrix_lr", "nan", "a number"),
        ("smear", "maybe", "true or false"),
        ("ve_layers", "1,x", "whole numbers"),
        ("act", "gelu", "relu2"),
        ("qat", "sometimes", "never"),
    ] {
        let given = Given { flags: vec![flag(key, value)], ..Given::default() };
        let message = resolve(&given).unwrap_err().to_string();
        assert!(
            message.contains(expected) && message.contains("--set") && message.contains(value),
            "{message}"
        );
    }
}

#[test]
fn the_challenges_names_mean_what_they_mean_there() {
    let env = [
        ("MLP_MULT", "3"),
        ("MODEL_DIM", "256"),
        ("TIE_EMBEDDINGS", "0"),
        ("VE_LAYERS", "2,3"),
        ("TRAIN_BATCH_TOKENS", "65_536"),
        ("TIED_EMBED_LR", "0.07"),
        ("EMA_ENABLED", "1"),
    ];
    let given = Given { env: env.map(|(k, v)| (k.to_owned(), v.to_owned())).into(), ..Given::default() };
    let config = resolve(&given).unwrap().config;
    assert_eq!((config.model.dim, config.model.hidden, config.model.tied), (256, 768, false));
    assert_eq!((config.recipe.train_batch_tokens, config.recipe.token_lr), (65_536, 0.07));
    assert!(config.recipe.ema_enabled && config.model.ve_layers == [2, 3]);
}

#[test]
fn a_tokenizer_sets_the_vocabulary_unless_somebody_did() {
    let mut given = Given { flags: vec![flag("tokenizer", "t.model")], ..Given::default() };
    let resolved = resolve(&given).unwrap();
    assert_eq!(resolved.config.model.vocab, 2048);
    assert_eq!(resolved.sources["model.vocab"].to_string(), "tokenizer t.model");
    given.flags.push(flag("vocab", "4096"));
    assert_eq!(resolve(&given).unwrap().config.model.vocab, 4096);
}

#[test]
fn the_hash_follows_what_is_computed_and_not_where_it_came_from() {
    let hash = |given: &Given| resolve(given).unwrap().hash();
    let plain = Given { preset: Some("nano".into()), ..Given::default() };
    let same = Given { flags: vec![flag("iterations", "30"), flag("train_log_every", "3")], ..plain.clone() };
    let other = Given { flags: vec![flag("iterations", "31")], ..plain.clone() };
    assert_eq!(hash(&plain), hash(&same));
    assert_ne!(hash(&plain), hash(&other));
}
