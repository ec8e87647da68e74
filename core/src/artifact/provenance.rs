//! Where a model came from: optional, short, for people and for checks; never needed to run it.

use serde::{Deserialize, Serialize};

use super::error::ArtifactError;

/// Longest field, in bytes.
const MAX_FIELD: usize = 4096;

/// Provenance of a model. Each field is at most 4,096 bytes of text without control characters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Provenance {
    /// Program and version that trained it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trainer: Option<String>,
    /// Hash of the resolved training configuration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config_hash: Option<String>,
    /// Hash of the training data's manifest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_hash: Option<String>,
    /// Seed of the run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<String>,
    /// Licence of the weights.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub license: Option<String>,
    /// Anything else.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notes: Option<String>,
}

impl Provenance {
    /// Checks every field's length and characters.
    pub(super) fn check(&self) -> Result<(), ArtifactError> {
        let fields = [
            ("trainer", &self.trainer),
            ("config_hash", &self.config_hash),
            ("data_hash", &self.data_hash),
            ("seed", &self.seed),
            ("license", &self.license),
            ("notes", &self.notes),
        ];
        for (field, value) in fields {
            if let Some(text) = value
                && (text.len() > MAX_FIELD || text.chars().any(char::is_control))
            {
                return Err(ArtifactError::Provenance { field, limit: MAX_FIELD, got: text.len() });
            }
        }
        Ok(())
    }
}
