//! The configuration of a training run and where each of its values comes from.
//!
//! Layers, weakest first: preset, tokenizer (vocabulary) and device (precision, rows at a time), file, environment, command line. All of them speak the keys of
//! [`table`]; an unknown key is an error with the closest known one. What decides a run's result is `model` and `recipe`,
//! whose canonical JSON is hashed; `run` only says where and how often.

mod layers;
pub mod table;

use crate::device::Device;
use golf_core::model::ModelConfig;
use golf_core::train::identity::config_hash;
use golf_core::train::recipe::Precision;
use golf_core::train::{Recipe, presets};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use table::{MLP_MULT, SETTINGS};
use thiserror::Error;

use layers::Layers;

/// Preset when none is named: the challenge's own.
pub const DEFAULT_PRESET: &str = "baseline";

/// Where and how often a run reads and writes; nothing here changes what it computes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs, reason = "the settings table documents every field")]
pub struct RunSettings {
    pub data: Option<String>,
    pub val: Option<String>,
    pub tokenizer: Option<String>,
    pub out: Option<String>,
    pub run_id: Option<String>,
    pub resume: String,
    pub checkpoint_every: String,
    pub checkpoint_keep: usize,
    pub val_loss_every: u64,
    pub val_tokens: usize,
    pub train_log_every: u64,
    pub device: String,
    pub threads: usize,
    pub reduction: String,
    pub rank_timeout: f64,
}

impl Default for RunSettings {
    fn default() -> Self {
        Self {
            data: None,
            val: None,
            tokenizer: None,
            out: None,
            run_id: None,
            resume: "off".to_owned(),
            checkpoint_every: "60s".to_owned(),
            checkpoint_keep: 2,
            val_loss_every: 1000,
            val_tokens: 0,
            train_log_every: 200,
            device: "cpu".to_owned(),
            threads: 0,
            reduction: "in_order".to_owned(),
            rank_timeout: 60.0,
        }
    }
}

/// Everything, typed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Structure.
    pub model: ModelConfig,
    /// Training.
    pub recipe: Recipe,
    /// Where and how often.
    pub run: RunSettings,
}

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// The preset.
    Preset(String),
    /// Nobody named it.
    Default,
    /// The tokenizer's size.
    Tokenizer(String),
    /// What the device is best at, or has room for.
    Device(String),
    /// A configuration file.
    File(PathBuf),
    /// An environment variable.
    Env(&'static str),
    /// The command line.
    Flag(String),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Preset(name) => write!(f, "preset {name}"),
            Source::Default => write!(f, "default"),
            Source::Tokenizer(path) => write!(f, "tokenizer {path}"),
            Source::Device(device) => write!(f, "device {device}"),
            Source::File(path) => write!(f, "file {}", path.display()),
            Source::Env(name) => write!(f, "env {name}"),
            Source::Flag(flag) => write!(f, "flag {flag}"),
        }
    }
}

/// What the user gave, untyped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Given {
    /// `--preset`.
    pub preset: Option<String>,
    /// `--as-published`.
    pub as_published: bool,
    /// `--config`.
    pub file: Option<PathBuf>,
    /// The environment.
    pub env: BTreeMap<String, String>,
    /// Flags with the keys that they set, in order: `(flag, key, value)`.
    pub flags: Vec<(String, String, String)>,
}

/// A configuration with its origins.
#[derive(Clone, Debug, PartialEq)]
pub struct Resolved {
    /// The values.
    pub config: Config,
    /// Name of the preset.
    pub preset: String,
    /// What the preset wants its user to know.
    pub notes: Vec<&'static str>,
    /// Key → origin, for every setting.
    pub sources: BTreeMap<&'static str, Source>,
}

/// Why a configuration cannot be followed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// No such preset.
    #[error("no preset `{name}`\nhint: one of {}", presets::names().join(", "))]
    UnknownPreset {
        /// As given.
        name: String,
    },
    /// No such setting.
    #[error("unknown setting `{key}` ({from}){}", match hint { Some(h) => format!("\nhint: did you mean `{h}`?"), None => "\nhint: `--print-config` lists all".to_owned() })]
    UnknownKey {
        /// As given.
        key: String,
        /// Where.
        from: Source,
        /// The closest known one.
        hint: Option<&'static str>,
    },
    /// `--set` without `=`.
    #[error("`--set {got}`: expected KEY=VALUE")]
    NotAnAssignment {
        /// As given.
        got: String,
    },
    /// A value of another type.
    #[error("setting `{key}` ({from}): expected {expected}, got `{got}`")]
    Type {
        /// Key.
        key: String,
        /// Where.
        from: Source,
        /// What would be accepted.
        expected: String,
        /// As given.
        got: String,
    },
    /// The file cannot be read.
    #[error("cannot read config `{}`: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is not TOML.
    #[error("config `{}`: {source}", path.display())]
    Toml {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: Box<toml::de::Error>,
    },
}

impl Resolved {
    /// Resolves all layers; `vocabulary` opens a tokenizer and gives its size.
    pub fn new<E: From<ConfigError>>(
        given: &Given,
        vocabulary: impl FnOnce(&Path) -> Result<usize, E>,
    ) -> Result<Resolved, E> {
        let file = given.file.as_deref().map(layers::read_file).transpose()?;
        let (name, as_published) = layers::preset_of(given, file.as_ref())?;
        let preset = golf_core::train::preset(&name, as_published)
            .ok_or_else(|| ConfigError::UnknownPreset { name: name.clone() })?;
        let label = if as_published { format!("{name} as published") } else { name.clone() };
        let base = Config { model: preset.model, recipe: preset.recipe, run: RunSettings::default() };
        let mut layers = Layers::new(&base, Source::Preset(label));
        if let (Some(path), Some(entries)) = (&given.file, &file) {
            layers.file(path, entries)?;
        }
        layers.environment(&given.env)?;
        for (flag, key, value) in &given.flags {
            layers.text(key, value, Source::Flag(flag.clone()))?;
        }
        let tokenizer = layers.config()?.run.tokenizer;
        if let (Some(path), Source::Preset(_)) = (tokenizer, layers.source("model.vocab")) {
            let size = vocabulary(Path::new(&path))?;
            layers.text("model.vocab", &size.to_string(), Source::Tokenizer(path))?;
        }
        let device = layers.config()?.run.device;
        if let (Ok(known), Source::Preset(_)) = (device.parse::<Device>(), layers.source("recipe.precision"))
            && known.training_precision() == Precision::Bf16
        {
            layers.text("recipe.precision", "bf16", Source::Device(device))?;
        }
        let config = layers.config()?;
        Ok(Resolved { config, preset: name, notes: preset.notes, sources: layers.into_sources() })
    }

    /// The same with micro-batches of so many rows, which `device` has room for.
    pub fn with_rows(mut self, rows: usize, device: String) -> Resolved {
        self.config.recipe.micro_batch_rows = rows;
        self.sources.insert("recipe.micro_batch_rows", Source::Device(device));
        self
    }

    /// Hash of model and recipe.
    pub fn hash(&self) -> String {
        config_hash(&self.config.model, &self.config.recipe)
    }

    /// All settings, one line each: `key = value  (origin)`; only those that differ from the preset unless `all`.
    pub fn lines(&self, all: bool) -> Vec<String> {
        let values = serde_json::to_value(&self.config).expect("a configuration has a JSON form");
        let shown = |key: &str| {
            all || !matches!(self.sources.get(key), Some(Source::Preset(_) | Source::Default) | None)
        };
        let line = |s: &table::Setting| {
            let value = &values[s.key.split_once('.').map_or("", |(section, _)| section)][s.field()];
            let value = if value.is_null() { "none".to_owned() } else { value.to_string().replace('"', "") };
            format!("{} = {value}  ({})", s.field(), self.sources[s.key])
        };
        SETTINGS.iter().filter(|s| shown(s.key)).map(line).collect()
    }

    /// The same as JSON: `{preset, config_hash, settings: {key: {value, source}}}`.
    pub fn json(&self) -> Value {
        let values = serde_json::to_value(&self.config).expect("a configuration has a JSON form");
        let settings: serde_json::Map<String, Value> = SETTINGS
            .iter()
            .map(|s| {
                let section = s.key.split_once('.').map_or("", |(section, _)| section);
                let value = &values[section][s.field()];
                (s.key.to_owned(), json!({ "value": value, "source": self.sources[s.key].to_string() }))
            })
            .collect();
        json!({ "preset": self.preset, "config_hash": self.hash(), "settings": settings })
    }
}

/// Variables of the environment that any setting listens to.
pub fn environment() -> BTreeMap<String, String> {
    let names = SETTINGS.iter().flat_map(|s| s.env).copied().chain([MLP_MULT]);
    // An empty variable is an unset one, as in the shell idiom `SEED= golf-train`.
    let value = |name: &str| std::env::var(name).ok().filter(|v| !v.is_empty());
    names.filter_map(|name| Some((name.to_owned(), value(name)?))).collect()
}

#[cfg(test)]
mod tests;
