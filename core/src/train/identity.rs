//! The identity of a configuration: SHA-256 of its canonical JSON (sorted keys, no spaces, shortest numbers).
//!
//! Two configurations that compute the same have the same identity, whichever file, flag or preset they came from.

use super::recipe::Recipe;
use crate::digest::sha256_hex;
use crate::model::ModelConfig;
use serde_json::{Map, Value, json};

/// Model and recipe as one JSON object with sorted keys.
pub fn canonical(model: &ModelConfig, recipe: &Recipe) -> Value {
    sorted(&json!({ "model": model, "recipe": recipe }))
}

/// SHA-256 (hex) of [`canonical`].
pub fn config_hash(model: &ModelConfig, recipe: &Recipe) -> String {
    sha256_hex(canonical(model, recipe).to_string().as_bytes())
}

fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut keys: Vec<&String> = map.keys().collect();
            keys.sort();
            Value::Object(keys.into_iter().map(|k| (k.clone(), sorted(&map[k]))).collect::<Map<_, _>>())
        }
        Value::Array(items) => Value::Array(items.iter().map(sorted).collect()),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_depends_on_every_field_and_on_nothing_else() {
        let (model, recipe) = (ModelConfig::default(), Recipe::default());
        let hash = config_hash(&model, &recipe);
        assert_eq!(hash, config_hash(&model.clone(), &recipe.clone()));
        assert_ne!(hash, config_hash(&model, &Recipe { seed: 1, ..recipe.clone() }));
        assert_ne!(hash, config_hash(&ModelConfig { layers: 8, ..model.clone() }, &recipe));
        let text = canonical(&model, &recipe).to_string();
        assert!(text.starts_with(r#"{"model":{"act":"relu2","bigram":"none""#), "{text}");
    }
}
