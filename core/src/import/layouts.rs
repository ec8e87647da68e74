//! The layouts in which a pickle holds a model, and their reading into [`Imported`] tensors.
//!
//! * Clean per-row (the challenge's baseline, PR #861): a dict with `__quant_format__`, `quantized`, `scales`,
//!   `dtypes`, `passthrough` and the optional `qmeta` and `passthrough_orig_dtypes`.
//! * Weights and metadata (PR #264, #549, #585, #951, #1019, #1216): `{"w": tensors, "m": metadata}`, where a
//!   quantized `name` is `name.q` (or nibbles in `name.q4n`) with `name.scale`.
//! * A raw state dict: names to tensors; parameter banks are cut into the per-layer names ([`super::banks`]).
//!
//! Invariant: every tensor of the file is claimed by exactly one parameter; anything left over is an error, because a
//! file that is only half understood would score like a damaged model. Whether the names make a model is the business
//! of [`super::shapes`].

mod error;

use std::collections::{BTreeMap, BTreeSet};

use super::pickle::{TensorRef, Value};
use super::storage::{self, Budget, Values};
use super::tensor::{FloatType, Imported, ImportedData, Scales, smallest_bits};
use super::torch_zip::TorchZip;
use super::{Limits, banks};

pub use error::LayoutError;

/// How a file held its tensors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Clean per-row, with its format string.
    CleanPerRow {
        /// `__quant_format__`.
        format: String,
    },
    /// Weights and metadata.
    WeightsAndMeta,
    /// Raw state dict.
    StateDict,
    /// A safetensors file.
    Safetensors,
}

/// A dict's entries by name, taken out one by one.
type Entries = BTreeMap<String, Value>;

/// Reads the model in `value`, whose storages are in `zip`.
pub fn read(
    value: Value,
    zip: &TorchZip<'_>,
    limits: &Limits,
) -> Result<(Layout, Vec<Imported>), LayoutError> {
    let Value::Dict(items) = value else {
        return Err(LayoutError::Unknown { got: format!("the top level is {}", value.kind()) });
    };
    let mut reader = Reader {
        zip,
        budget: Budget::new(limits.raw_bytes),
        limit: limits.tensors,
        names: BTreeSet::new(),
        out: Vec::new(),
    };
    let has = |key: &str| items.iter().any(|(k, _)| k == key);
    let layout = if has("__quant_format__") {
        reader.clean_per_row(items.into_iter().collect())?
    } else if has("w") && has("m") {
        reader.weights_and_meta(items.into_iter().collect())?;
        Layout::WeightsAndMeta
    } else if !items.is_empty() && items.iter().all(|(_, v)| matches!(v, Value::Tensor(_))) {
        for (name, value) in items {
            let tensor = tensor(&name, value)?;
            reader.floats(name, &tensor, None)?;
        }
        reader.out = banks::unstack(reader.out)?;
        Layout::StateDict
    } else {
        let keys: Vec<_> = items.iter().take(8).map(|(k, v)| format!("`{k}` ({})", v.kind())).collect();
        return Err(LayoutError::Unknown { got: format!("the top level holds {}", keys.join(", ")) });
    };
    Ok((layout, reader.out))
}

struct Reader<'a, 'z> {
    zip: &'a TorchZip<'z>,
    budget: Budget,
    limit: usize,
    names: BTreeSet<String>,
    out: Vec<Imported>,
}

impl Reader<'_, '_> {
    fn clean_per_row(&mut self, mut top: Entries) -> Result<Layout, LayoutError> {
        let format = string("__quant_format__", take(&mut top, "__quant_format__")?)?;
        let bits = format.strip_prefix("int").and_then(|f| f.strip_suffix("_clean_per_row_v1"));
        if !bits.is_some_and(|b| matches!(b, "4" | "5" | "6" | "8")) {
            return Err(LayoutError::Format { got: format });
        }
        let quantized = dict("quantized", take(&mut top, "quantized")?)?;
        let mut scales = entries("scales", take(&mut top, "scales")?)?;
        let mut dtypes = entries("dtypes", take(&mut top, "dtypes")?)?;
        let passthrough = dict("passthrough", take(&mut top, "passthrough")?)?;
        let mut qmeta = optional_entries("qmeta", &mut top)?;
        let mut originals = optional_entries("passthrough_orig_dtypes", &mut top)?;
        nothing_left("", top)?;
        for (name, q) in quantized {
            check_scheme(&name, qmeta.remove(&name))?;
            let restore = dtype(&name, take(&mut dtypes, &name)?)?;
            let scale = tensor(&name, take(&mut scales, &name)?)?;
            let q = tensor(&name, q)?;
            let values = self.integers(&name, &q)?;
            self.quantized(name, q.shape, values, &scale, restore)?;
        }
        for (name, value) in passthrough {
            let restore = originals.remove(&name).map(|d| dtype(&name, d)).transpose()?;
            let tensor = tensor(&name, value)?;
            self.floats(name, &tensor, restore)?;
        }
        let rests = [("scales.", scales), ("dtypes.", dtypes), ("qmeta.", qmeta)];
        rests.into_iter().try_for_each(|(prefix, rest)| nothing_left(prefix, rest))?;
        nothing_left("passthrough_orig_dtypes.", originals)?;
        Ok(Layout::CleanPerRow { format })
    }

    fn weights_and_meta(&mut self, mut top: Entries) -> Result<(), LayoutError> {
        let mut weights = entries("w", take(&mut top, "w")?)?;
        let meta = dict("m", take(&mut top, "m")?)?;
        nothing_left("", top)?;
        for (name, info) in meta {
            let restore = template_type(&name);
            // The metadata is informational except for this: is the tensor itself there, and in nibbles of which shape?
            let kind = match &info {
                Value::Str(kind) => kind.as_str(),
                Value::Dict(fields) => match fields.iter().find(|(k, _)| k == "type") {
                    Some((_, Value::Str(kind))) => kind.as_str(),
                    _ => return Err(LayoutError::Missing { key: format!("m.{name}.type") }),
                },
                other => {
                    let (key, expected) = (format!("m.{name}"), "a string or a dict");
                    return Err(LayoutError::Kind { key, expected, got: other.kind() });
                }
            };
            if kind.starts_with("passthrough") {
                let tensor = tensor(&name, take(&mut weights, &name)?)?;
                self.floats(name, &tensor, Some(restore))?;
                continue;
            }
            let nibbles = kind == "int4nibble";
            if !nibbles && !["int4", "int5", "int6", "int8", "gptq (int"].iter().any(|k| kind.starts_with(k))
            {
                return Err(LayoutError::Scheme { name, got: kind.to_owned() });
            }
            let scale = tensor(&name, take(&mut weights, &format!("{name}.scale"))?)?;
            let q =
                tensor(&name, take(&mut weights, &format!("{name}.{}", if nibbles { "q4n" } else { "q" }))?)?;
            let packed = self.integers(&name, &q)?;
            let (shape, values) = if nibbles {
                let shape = nibble_shape(&name, &info)?;
                let values = unpack_nibbles(&packed, &q.shape, &shape);
                (
                    shape.clone(),
                    values.ok_or(LayoutError::Nibbles {
                        name: name.clone(),
                        expected: shape,
                        got: q.shape,
                    })?,
                )
            } else {
                (q.shape, packed)
            };
            self.quantized(name, shape, values, &scale, restore)?;
        }
        nothing_left("w.", weights)
    }

    fn integers(&mut self, name: &str, tensor: &TensorRef) -> Result<Vec<i8>, LayoutError> {
        match storage::read(name, tensor, self.zip, &mut self.budget)? {
            Values::I8(q) => Ok(q),
            _ => Err(LayoutError::Values { name: name.to_owned(), expected: "signed bytes", got: "floats" }),
        }
    }

    fn quantized(
        &mut self,
        name: String,
        shape: Vec<usize>,
        q: Vec<i8>,
        scale: &TensorRef,
        restore: FloatType,
    ) -> Result<(), LayoutError> {
        let per_row = !scale.shape.is_empty();
        if per_row && (shape.is_empty() || scale.shape != shape[..1]) {
            return Err(LayoutError::ScaleShape { name, shape, scales: scale.shape.clone() });
        }
        let scales = match storage::read(&name, scale, self.zip, &mut self.budget)? {
            Values::F16(scales) => Scales::F16(scales),
            Values::F32(scales) => Scales::F32(scales),
            Values::BF16(scales) => Scales::F32(scales.iter().map(|s| s.to_f32()).collect()),
            Values::I8(_) => {
                return Err(LayoutError::Values { name, expected: "floats as scales", got: "signed bytes" });
            }
        };
        if let Some(index) = (0..scales.len()).find(|&i| !scales.get(i).is_finite()) {
            return Err(LayoutError::ScaleValue { name, index, got: scales.get(index) });
        }
        let bits = smallest_bits(&q);
        self.add(Imported {
            name,
            shape,
            restore,
            data: ImportedData::Quantized { q, scales, per_row, bits },
        })
    }

    fn floats(
        &mut self,
        name: String,
        tensor: &TensorRef,
        restore: Option<FloatType>,
    ) -> Result<(), LayoutError> {
        let (stored, data) = match storage::read(&name, tensor, self.zip, &mut self.budget)? {
            Values::F16(values) => (FloatType::F16, ImportedData::F16(values)),
            Values::BF16(values) => (FloatType::BF16, ImportedData::BF16(values)),
            Values::F32(values) => (FloatType::F32, ImportedData::F32(values)),
            Values::I8(_) => {
                return Err(LayoutError::Values { name, expected: "floats", got: "signed bytes" });
            }
        };
        self.add(Imported { name, shape: tensor.shape.clone(), restore: restore.unwrap_or(stored), data })
    }

    fn add(&mut self, tensor: Imported) -> Result<(), LayoutError> {
        if self.out.len() == self.limit {
            return Err(LayoutError::TooMany { got: self.limit + 1, limit: self.limit });
        }
        if !self.names.insert(tensor.name.clone()) {
            return Err(LayoutError::Duplicate { name: tensor.name });
        }
        self.out.push(tensor);
        Ok(())
    }
}

fn take(entries: &mut Entries, key: &str) -> Result<Value, LayoutError> {
    entries.remove(key).ok_or_else(|| LayoutError::Missing { key: key.to_owned() })
}

fn nothing_left(prefix: &str, rest: Entries) -> Result<(), LayoutError> {
    match rest.into_keys().next() {
        Some(key) => Err(LayoutError::Unclaimed { key: format!("{prefix}{key}") }),
        None => Ok(()),
    }
}

fn tensor(key: &str, value: Value) -> Result<TensorRef, LayoutError> {
    match value {
        Value::Tensor(tensor) => Ok(tensor),
        other => Err(LayoutError::Kind { key: key.to_owned(), expected: "a tensor", got: other.kind() }),
    }
}

fn string(key: &str, value: Value) -> Result<String, LayoutError> {
    match value {
        Value::Str(string) => Ok(string),
        other => Err(LayoutError::Kind { key: key.to_owned(), expected: "a string", got: other.kind() }),
    }
}

fn dict(key: &str, value: Value) -> Result<Vec<(String, Value)>, LayoutError> {
    match value {
        Value::Dict(items) => Ok(items),
        other => Err(LayoutError::Kind { key: key.to_owned(), expected: "a dict", got: other.kind() }),
    }
}

fn entries(key: &str, value: Value) -> Result<Entries, LayoutError> {
    Ok(dict(key, value)?.into_iter().collect())
}

fn optional_entries(key: &str, top: &mut Entries) -> Result<Entries, LayoutError> {
    top.remove(key).map_or_else(|| Ok(Entries::new()), |value| entries(key, value))
}

fn dtype(name: &str, value: Value) -> Result<FloatType, LayoutError> {
    let got = string(name, value)?;
    FloatType::from_torch_name(&got).ok_or_else(|| LayoutError::Dtype { name: name.to_owned(), got })
}

/// `{"scheme": "per_row", "axis": 0}` is the only scheme; no entry means the same.
fn check_scheme(name: &str, meta: Option<Value>) -> Result<(), LayoutError> {
    let Some(meta) = meta else { return Ok(()) };
    let known = [("scheme", Value::Str("per_row".to_owned())), ("axis", Value::Int(0))];
    for (key, value) in dict(name, meta)? {
        if !known.iter().any(|(k, v)| *k == key && *v == value) {
            return Err(LayoutError::Scheme { name: name.to_owned(), got: format!("{key}: {value:?}") });
        }
    }
    Ok(())
}

/// The type that the freshly built model holds: tables of embeddings in bfloat16, everything else in single precision.
fn template_type(name: &str) -> FloatType {
    if name == "tok_emb.weight" || name.ends_with(".embed.weight") { FloatType::BF16 } else { FloatType::F32 }
}

/// The `shape` of an `int4nibble` entry: rows and columns.
fn nibble_shape(name: &str, info: &Value) -> Result<Vec<usize>, LayoutError> {
    let key = || format!("m.{name}.shape");
    let Value::Dict(fields) = info else { return Err(LayoutError::Missing { key: key() }) };
    let shape = match fields.iter().find(|(k, _)| k == "shape") {
        Some((_, Value::List(sizes) | Value::Tuple(sizes))) => sizes,
        Some((_, other)) => {
            return Err(LayoutError::Kind { key: key(), expected: "a list", got: other.kind() });
        }
        None => return Err(LayoutError::Missing { key: key() }),
    };
    let size = |v: &Value| match v {
        Value::Int(size) => usize::try_from(*size).ok(),
        _ => None,
    };
    match shape.iter().map(size).collect::<Option<Vec<_>>>() {
        Some(shape) if shape.len() == 2 => Ok(shape),
        _ => Err(LayoutError::Kind { key: key(), expected: "two sizes", got: "something else" }),
    }
}

/// Two integers of -8..=7 per byte, biased by 8, high nibble first; a row of odd length ends with a padding nibble.
fn unpack_nibbles(packed: &[i8], got: &[usize], shape: &[usize]) -> Option<Vec<i8>> {
    let (rows, columns) = (shape[0], shape[1]);
    if got != [rows, columns.div_ceil(2)] || columns == 0 {
        return None;
    }
    let row = |bytes: &[i8]| {
        let nibbles = bytes.iter().flat_map(|&b| [(b as u8 >> 4) as i8 - 8, (b as u8 & 15) as i8 - 8]);
        nibbles.take(columns).collect::<Vec<_>>()
    };
    Some(packed.chunks(columns.div_ceil(2)).flat_map(row).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nibbles_unpack_high_first_and_drop_the_padding() {
        let packed = [0x0f_u8, 0x78, 0xa1, 0x48].map(|b| b as i8);
        assert_eq!(unpack_nibbles(&packed, &[2, 2], &[2, 3]).unwrap(), [-8, 7, -1, 2, -7, -4]);
        assert_eq!(unpack_nibbles(&packed, &[2, 2], &[2, 4]).unwrap(), [-8, 7, -1, 0, 2, -7, -4, 0]);
        assert_eq!(unpack_nibbles(&packed, &[2, 2], &[2, 5]), None);
        assert_eq!(unpack_nibbles(&packed, &[2, 2], &[4, 2]), None);
    }

    #[test]
    fn the_template_rounds_tables_only() {
        for (name, expected) in [
            ("tok_emb.weight", FloatType::BF16),
            ("bigram.embed.weight", FloatType::BF16),
            ("ve_shared.embed.weight", FloatType::BF16),
            ("bigram.proj.weight", FloatType::F32),
            ("blocks.0.attn.q_gain", FloatType::F32),
        ] {
            assert_eq!(template_type(name), expected, "{name}");
        }
    }
}
