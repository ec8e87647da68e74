//! One fixture: the tensors of a `.safetensors` file and the `.json` beside it, with a record of what was read.
//!
//! Invariant: whatever a replay never asked for is reported at the end ([`Fixture::unread`]), so a tensor or a
//! field that nobody understands cannot pass by silence. Lookups are typed and never panic on a file's contents.

use super::fault::Fault;
use half::f16;
use safetensors::{Dtype, SafeTensors};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

/// Values of a stored tensor in the types that the layout knows.
#[derive(Clone, Debug, PartialEq)]
enum Stored {
    F64(Vec<f64>),
    F32(Vec<f32>),
    F16(Vec<f16>),
    I32(Vec<i32>),
    I8(Vec<i8>),
    U8(Vec<u8>),
}

/// A tensor of some element type.
#[derive(Clone, Debug, PartialEq)]
pub struct Array<T> {
    /// Extents; empty for a scalar.
    pub shape: Vec<usize>,
    /// Row-major values.
    pub values: Vec<T>,
}

/// A fixture and what has been read of it.
pub struct Fixture {
    tensors: BTreeMap<String, (Vec<usize>, Stored)>,
    json: Value,
    read: RefCell<BTreeSet<String>>,
    visited: RefCell<BTreeSet<String>>,
}

impl Fixture {
    /// Decodes both files.
    pub fn decode(tensors: &[u8], json: &[u8]) -> Result<Self, Fault> {
        let file = SafeTensors::deserialize(tensors)?;
        let mut decoded = BTreeMap::new();
        for (name, view) in file.iter() {
            let data = view.data();
            let stored = match view.dtype() {
                Dtype::F64 => Stored::F64(elements(data, f64::from_le_bytes)),
                Dtype::F32 => Stored::F32(elements(data, f32::from_le_bytes)),
                Dtype::F16 => Stored::F16(elements(data, f16::from_le_bytes)),
                Dtype::I32 => Stored::I32(elements(data, i32::from_le_bytes)),
                Dtype::I8 => Stored::I8(elements(data, i8::from_le_bytes)),
                Dtype::U8 => Stored::U8(data.to_vec()),
                // Left out, so that asking for it says what is wrong and not asking leaves it unread.
                _ => continue,
            };
            decoded.insert(name.to_owned(), (view.shape().to_vec(), stored));
        }
        let unknown = file.iter().find(|(name, _)| !decoded.contains_key(*name));
        if let Some((name, view)) = unknown {
            return Err(Fault::TensorType {
                name: name.to_owned(),
                expected: "f64, f32, f16, i32, i8 or u8",
                got: format!("{:?}", view.dtype()),
            });
        }
        let json = serde_json::from_slice(json)?;
        Ok(Self { tensors: decoded, json, read: RefCell::default(), visited: RefCell::default() })
    }

    /// Whether a tensor exists; does not count as reading it.
    pub fn has(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    /// Names of all tensors that start with `prefix`, without it.
    pub fn names_after<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = &'a str> + 'a {
        self.tensors.keys().filter_map(move |name| name.strip_prefix(prefix))
    }

    fn find(&self, name: &str) -> Result<&(Vec<usize>, Stored), Fault> {
        let found = self.tensors.get(name).ok_or_else(|| Fault::MissingTensor { name: name.to_owned() })?;
        self.read.borrow_mut().insert(name.to_owned());
        Ok(found)
    }

    fn typed<T: Clone>(
        &self,
        name: &str,
        expected: &'static str,
        pick: impl Fn(&Stored) -> Option<Vec<T>>,
    ) -> Result<Array<T>, Fault> {
        let (shape, stored) = self.find(name)?;
        match pick(stored) {
            Some(values) => Ok(Array { shape: shape.clone(), values }),
            None => {
                let got = stored.kind().to_owned();
                Err(Fault::TensorType { name: name.to_owned(), expected, got })
            }
        }
    }

    /// A floating tensor of any width, in double precision.
    pub fn floats(&self, name: &str) -> Result<Array<f64>, Fault> {
        self.typed(name, "floats", |stored| match stored {
            Stored::F64(v) => Some(v.clone()),
            Stored::F32(v) => Some(v.iter().map(|&x| f64::from(x)).collect()),
            Stored::F16(v) => Some(v.iter().map(|x| x.to_f64()).collect()),
            _ => None,
        })
    }

    /// A floating tensor that must have this shape.
    pub fn floats_of(&self, name: &str, shape: &[usize]) -> Result<Vec<f64>, Fault> {
        let found = self.floats(name)?;
        if found.shape == shape {
            return Ok(found.values);
        }
        Err(Fault::TensorShape { name: name.to_owned(), expected: shape.to_vec(), got: found.shape })
    }

    /// A single-precision tensor.
    pub fn singles(&self, name: &str) -> Result<Array<f32>, Fault> {
        self.typed(name, "f32", |stored| if let Stored::F32(v) = stored { Some(v.clone()) } else { None })
    }

    /// A half-precision tensor.
    pub fn halves(&self, name: &str) -> Result<Array<f16>, Fault> {
        self.typed(name, "f16", |stored| if let Stored::F16(v) = stored { Some(v.clone()) } else { None })
    }

    /// Integers of 32 bits.
    pub fn ints(&self, name: &str) -> Result<Array<i32>, Fault> {
        self.typed(name, "i32", |stored| if let Stored::I32(v) = stored { Some(v.clone()) } else { None })
    }

    /// Integers of 8 bits.
    pub fn bytes(&self, name: &str) -> Result<Array<i8>, Fault> {
        self.typed(name, "i8", |stored| if let Stored::I8(v) = stored { Some(v.clone()) } else { None })
    }

    /// Flags stored as `u8`.
    pub fn flags(&self, name: &str) -> Result<Vec<bool>, Fault> {
        let pick = |stored: &Stored| if let Stored::U8(v) = stored { Some(v.clone()) } else { None };
        let found = self.typed(name, "u8", pick)?;
        Ok(found.values.into_iter().map(|x| x != 0).collect())
    }

    /// The root of the JSON file.
    pub fn json(&self) -> Node<'_> {
        Node { fixture: self, value: &self.json, path: String::new() }
    }

    /// Tensors and JSON fields that nobody asked for.
    pub fn unread(&self) -> Vec<String> {
        let read = self.read.borrow();
        let mut left: Vec<String> =
            self.tensors.keys().filter(|n| !read.contains(*n)).map(|n| format!("tensor `{n}`")).collect();
        if self.unvisited(&self.json, String::new(), &mut left) {
            left.push("every field".to_owned());
        }
        left
    }

    /// Whether nothing at `path` and below was understood; otherwise files the parts that were not.
    fn unvisited(&self, value: &Value, path: String, left: &mut Vec<String>) -> bool {
        if self.visited.borrow().contains(&path) {
            return false;
        }
        let children: Vec<(String, &Value)> = match value {
            Value::Object(map) => map.iter().map(|(key, v)| (format!("{path}/{key}"), v)).collect(),
            Value::Array(list) => list.iter().enumerate().map(|(i, v)| (format!("{path}/{i}"), v)).collect(),
            _ => Vec::new(),
        };
        let count = children.len();
        let whole: Vec<String> = (children.into_iter())
            .filter_map(|(path, v)| self.unvisited(v, path.clone(), left).then_some(path))
            .collect();
        if whole.len() == count {
            return true;
        }
        left.extend(whole.into_iter().map(|path| format!("field `{path}`")));
        false
    }
}

impl Stored {
    fn kind(&self) -> &'static str {
        match self {
            Stored::F64(_) => "f64",
            Stored::F32(_) => "f32",
            Stored::F16(_) => "f16",
            Stored::I32(_) => "i32",
            Stored::I8(_) => "i8",
            Stored::U8(_) => "u8",
        }
    }
}

fn elements<const N: usize, T>(data: &[u8], decode: fn([u8; N]) -> T) -> Vec<T> {
    data.chunks_exact(N).map(|b| decode(b.try_into().expect("chunks have N bytes"))).collect()
}

/// A place in the JSON file; reading a value marks it as understood.
#[derive(Clone)]
pub struct Node<'a> {
    fixture: &'a Fixture,
    value: &'a Value,
    path: String,
}

impl<'a> Node<'a> {
    /// The field `key`, if it exists and is not null.
    pub fn find(&self, key: &str) -> Option<Node<'a>> {
        let path = format!("{}/{key}", self.path);
        let value = self.value.get(key)?;
        if value.is_null() {
            self.fixture.visited.borrow_mut().insert(path);
            return None;
        }
        Some(Node { fixture: self.fixture, value, path })
    }

    /// The field `key`.
    pub fn field(&self, key: &str) -> Result<Node<'a>, Fault> {
        self.find(key).ok_or_else(|| Fault::MissingField { path: format!("{}/{key}", self.path) })
    }

    /// Fields of an object; none of anything else, which then stays unread.
    pub fn entries(&self) -> Vec<(&'a str, Node<'a>)> {
        let Value::Object(map) = self.value else { return Vec::new() };
        let node =
            |key: &str, value| Node { fixture: self.fixture, value, path: format!("{}/{key}", self.path) };
        map.iter().map(|(key, value)| (key.as_str(), node(key, value))).collect()
    }

    /// The value and all below it as `T`.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, Fault> {
        self.acknowledge();
        serde_json::from_value(self.value.clone()).map_err(|source| Fault::FieldType {
            path: self.path.clone(),
            got: self.value.to_string(),
            source,
        })
    }

    /// The field `key` as `T`.
    pub fn get<T: DeserializeOwned>(&self, key: &str) -> Result<T, Fault> {
        self.field(key)?.read()
    }

    /// Marks the value and all below it as understood without comparing it to anything.
    pub fn acknowledge(&self) {
        self.fixture.visited.borrow_mut().insert(self.path.clone());
    }

    /// Acknowledges the fields that describe the fixture rather than the result.
    pub fn acknowledge_fields(&self, keys: &[&str]) {
        keys.iter().filter_map(|key| self.find(key)).for_each(|node| node.acknowledge());
    }

    /// Refuses the value that was found here.
    pub fn refuse(&self, expected: impl Into<String>) -> Fault {
        Fault::FieldValue { path: self.path.clone(), expected: expected.into(), got: self.value.to_string() }
    }

    /// The field `key` must have this value.
    pub fn expect<T: DeserializeOwned + PartialEq + std::fmt::Debug>(
        &self,
        key: &str,
        expected: &T,
    ) -> Result<(), Fault> {
        let node = self.field(key)?;
        if node.read::<T>()? == *expected { Ok(()) } else { Err(node.refuse(format!("{expected:?}"))) }
    }
}
