//! Laying values over a configuration: finds the setting of a key, reads the value as that setting's type, keeps its origin.

use super::table::{self, MLP_MULT, SETTINGS};
use super::{Config, ConfigError, DEFAULT_PRESET, Given, RunSettings, Source};
use serde_json::{Number, Value};
use std::collections::BTreeMap;
use std::path::Path;

/// Keys and values of a file, tables flattened with dots.
pub(super) type Entries = Vec<(String, toml::Value)>;

/// Reads a configuration file.
pub(super) fn read_file(path: &Path) -> Result<Entries, ConfigError> {
    let read = |source| ConfigError::Read { path: path.to_path_buf(), source };
    let text = std::fs::read_to_string(path).map_err(read)?;
    let parse = |source| ConfigError::Toml { path: path.to_path_buf(), source: Box::new(source) };
    let table: toml::Table = toml::from_str(&text).map_err(parse)?;
    let mut entries = Vec::new();
    flatten("", table, &mut entries);
    Ok(entries)
}

fn flatten(prefix: &str, table: toml::Table, entries: &mut Entries) {
    for (key, value) in table {
        let key = if prefix.is_empty() { key } else { format!("{prefix}.{key}") };
        match value {
            toml::Value::Table(inner) => flatten(&key, inner, entries),
            value => entries.push((key, value)),
        }
    }
}

/// Name of the preset and whether it is meant as published: the command line's, or else the file's.
pub(super) fn preset_of(given: &Given, file: Option<&Entries>) -> Result<(String, bool), ConfigError> {
    let entry = |key: &str| file?.iter().find(|(k, _)| k == key).map(|(_, value)| value);
    let wrong = |key: &str, expected: &str, got: &toml::Value| {
        let from = Source::File(given.file.clone().unwrap_or_default());
        let (key, expected) = (key.to_owned(), expected.to_owned());
        Err(ConfigError::Type { key, from, expected, got: got.to_string() })
    };
    let name = match (&given.preset, entry("preset")) {
        (Some(name), _) => name.clone(),
        (None, Some(toml::Value::String(name))) => name.clone(),
        (None, Some(other)) => return wrong("preset", "a name", other),
        (None, None) => DEFAULT_PRESET.to_owned(),
    };
    let as_published = match entry("as_published") {
        None => given.as_published,
        Some(toml::Value::Boolean(yes)) => given.as_published || *yes,
        Some(other) => return wrong("as_published", "true or false", other),
    };
    Ok((name, as_published))
}

/// A configuration under construction.
pub(super) struct Layers {
    values: Value,
    sources: BTreeMap<&'static str, Source>,
}

impl Layers {
    pub fn new(base: &Config, preset: Source) -> Layers {
        let values = serde_json::to_value(base).expect("a configuration has a JSON form");
        let source = |key: &str| if key.starts_with("run.") { Source::Default } else { preset.clone() };
        let sources = SETTINGS.iter().map(|s| (s.key, source(s.key))).collect();
        Layers { values, sources }
    }

    pub fn source(&self, key: &str) -> &Source {
        &self.sources[key]
    }

    pub fn into_sources(self) -> BTreeMap<&'static str, Source> {
        self.sources
    }

    /// The typed configuration; names of choices are checked here.
    pub fn config(&self) -> Result<Config, ConfigError> {
        if let Ok(config) = serde_json::from_value(self.values.clone()) {
            return Ok(config);
        }
        // Which setting it is: the one without which the rest is accepted.
        let section = |key: &str| key.split_once('.').map_or(String::new(), |(s, _)| s.to_owned());
        for setting in SETTINGS {
            let (section, field) = (section(setting.key), setting.field());
            let alone = serde_json::json!({ field: self.values[&section][field] });
            let checked = match section.as_str() {
                "model" => serde_json::from_value::<golf_core::model::ModelConfig>(alone).map(|_| ()),
                "recipe" => serde_json::from_value::<golf_core::train::Recipe>(alone).map(|_| ()),
                _ => serde_json::from_value::<RunSettings>(alone).map(|_| ()),
            };
            if let Err(error) = checked {
                return Err(ConfigError::Type {
                    key: setting.key.to_owned(),
                    from: self.sources[setting.key].clone(),
                    expected: format!("{} ({error})", setting.doc),
                    got: self.values[&section][field].to_string().replace('"', ""),
                });
            }
        }
        unreachable!("every setting is read as the type of its default")
    }

    pub fn file(&mut self, path: &Path, entries: &Entries) -> Result<(), ConfigError> {
        for (key, value) in entries.iter().filter(|(k, _)| k != "preset" && k != "as_published") {
            let text = match value {
                toml::Value::String(text) => text.clone(),
                toml::Value::Array(items) => {
                    items.iter().map(toml::Value::to_string).collect::<Vec<_>>().join(",")
                }
                other => other.to_string(),
            };
            self.text(key, &text, Source::File(path.to_path_buf()))?;
        }
        Ok(())
    }

    pub fn environment(&mut self, env: &BTreeMap<String, String>) -> Result<(), ConfigError> {
        for setting in SETTINGS {
            if let Some((name, value)) = setting.env.iter().find_map(|name| Some((*name, env.get(*name)?))) {
                self.text(setting.key, value, Source::Env(name))?;
            }
        }
        let Some(text) = env.get(MLP_MULT) else { return Ok(()) };
        let from = Source::Env(MLP_MULT);
        let dim = self.values["model"]["dim"].as_u64().expect("the model's width is a whole number");
        let hidden = text.parse::<f64>().ok().map(|mult| mult * dim as f64);
        match hidden.filter(|h| h.fract() == 0.0 && *h >= 1.0) {
            Some(hidden) => self.text("model.hidden", &hidden.to_string(), from),
            None => {
                let expected = format!("a factor that makes dim {dim} a whole number");
                Err(ConfigError::Type { key: "model.hidden".into(), from, expected, got: text.clone() })
            }
        }
    }

    /// Sets `key` to `text`, read as the setting's type.
    pub fn text(&mut self, key: &str, text: &str, from: Source) -> Result<(), ConfigError> {
        let Some(setting) = table::find(key) else {
            return Err(ConfigError::UnknownKey { key: key.to_owned(), from, hint: table::closest(key) });
        };
        let section = setting.key.split_once('.').map_or("", |(section, _)| section);
        let slot = &mut self.values[section][setting.field()];
        match read_as(slot, text) {
            Ok(value) => *slot = value,
            Err(expected) => {
                let (key, got) = (setting.key.to_owned(), text.to_owned());
                return Err(ConfigError::Type { key, from, expected: expected.to_owned(), got });
            }
        }
        self.sources.insert(setting.key, from);
        Ok(())
    }
}

/// Reads `text` as the type that `like` has; absent values are texts.
fn read_as(like: &Value, text: &str) -> Result<Value, &'static str> {
    let text = text.trim();
    let digits = text.replace('_', "");
    match like {
        Value::Bool(_) => match text {
            "1" | "true" | "on" | "yes" => Ok(Value::Bool(true)),
            "0" | "false" | "off" | "no" => Ok(Value::Bool(false)),
            _ => Err("true or false (or 1 or 0)"),
        },
        Value::Number(n) if n.is_f64() => {
            let number = digits.parse().ok().and_then(Number::from_f64);
            number.map(Value::Number).ok_or("a number")
        }
        Value::Number(_) => match (digits.parse::<u64>(), digits.parse::<i64>()) {
            (Ok(n), _) => Ok(n.into()),
            (_, Ok(n)) => Ok(n.into()),
            _ => Err("a whole number"),
        },
        Value::Array(_) => {
            let items = text.trim_matches(['[', ']']).split(',').map(str::trim).filter(|i| !i.is_empty());
            let numbers = items.map(|item| item.parse::<u64>().map(Value::from)).collect::<Result<_, _>>();
            numbers.map(Value::Array).map_err(|_| "whole numbers separated by commas")
        }
        Value::String(_) | Value::Null | Value::Object(_) => Ok(Value::String(text.to_owned())),
    }
}
