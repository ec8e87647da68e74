//! Objects of the stack machine, and their writing out as a tree.

use std::collections::HashSet;
use std::sync::Arc;

use super::{Element, MAX_DEPTH, MAX_VALUES, PickleError, StorageRef, TensorRef, Value};

/// Index of an object in the arena.
pub(super) type Id = usize;

/// A callable or type that `GLOBAL` may name.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Global {
    OrderedDict,
    RebuildTensor,
    Storage(Element),
}

/// Everything that `GLOBAL` may name; there is no other way to reach a callable.
const GLOBALS: [(&str, &str, Global); 11] = [
    ("collections", "OrderedDict", Global::OrderedDict),
    ("torch._utils", "_rebuild_tensor_v2", Global::RebuildTensor),
    ("torch", "HalfStorage", Global::Storage(Element::F16)),
    ("torch", "BFloat16Storage", Global::Storage(Element::BF16)),
    ("torch", "FloatStorage", Global::Storage(Element::F32)),
    ("torch", "CharStorage", Global::Storage(Element::I8)),
    ("torch", "ByteStorage", Global::Storage(Element::U8)),
    ("torch", "ShortStorage", Global::Storage(Element::I16)),
    ("torch", "IntStorage", Global::Storage(Element::I32)),
    ("torch", "LongStorage", Global::Storage(Element::I64)),
    ("torch", "BoolStorage", Global::Storage(Element::Bool)),
];

/// An object; containers hold indices.
pub(super) enum Node {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    Str(Arc<str>),
    List(Vec<Id>),
    Tuple(Vec<Id>),
    Dict { ordered: bool, items: Vec<(Id, Id)> },
    Global(Global),
    Storage(Arc<StorageRef>),
    Tensor(TensorRef),
}

impl Node {
    /// What the object is, for messages.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Node::None => "None",
            Node::Bool(_) => "a bool",
            Node::Int(_) => "an int",
            Node::Float(_) => "a float",
            Node::Str(_) => "a string",
            Node::List(_) => "a list",
            Node::Tuple(_) => "a tuple",
            Node::Dict { .. } => "a dict",
            Node::Global(Global::Storage(_)) => "a storage type",
            Node::Global(_) => "a callable",
            Node::Storage(_) => "a storage",
            Node::Tensor(_) => "a tensor",
        }
    }
}

impl Global {
    /// The global that `module` and `name` stand for, if it is on the list.
    pub(super) fn find(module: &str, name: &str) -> Option<Self> {
        GLOBALS.iter().find(|(m, n, _)| *m == module && *n == name).map(|&(_, _, global)| global)
    }
}

/// Writes object `id` of `nodes` out as a tree; shared objects are repeated.
pub(super) fn tree(nodes: &[Node], id: Id) -> Result<Value, PickleError> {
    Tree { nodes, left: MAX_VALUES }.value(id, 0)
}

struct Tree<'a> {
    nodes: &'a [Node],
    /// Values that may still be written; a long string counts as several.
    left: usize,
}

impl Tree<'_> {
    fn spend(&mut self, values: usize) -> Result<(), PickleError> {
        self.left = self.left.checked_sub(values).ok_or(PickleError::TooManyValues)?;
        Ok(())
    }

    fn string(&mut self, text: &str) -> Result<String, PickleError> {
        self.spend(text.len() / 32)?;
        Ok(text.to_owned())
    }

    fn value(&mut self, id: Id, depth: usize) -> Result<Value, PickleError> {
        self.spend(1)?;
        if depth > MAX_DEPTH {
            return Err(PickleError::TooDeep);
        }
        Ok(match &self.nodes[id] {
            Node::None => Value::None,
            Node::Bool(b) => Value::Bool(*b),
            Node::Int(i) => Value::Int(*i),
            Node::Float(f) => Value::Float(*f),
            Node::Str(s) => Value::Str(self.string(s)?),
            Node::List(items) => Value::List(self.values(items, depth)?),
            Node::Tuple(items) => Value::Tuple(self.values(items, depth)?),
            Node::Dict { items, .. } => Value::Dict(self.dict(items, depth)?),
            Node::Tensor(tensor) => {
                self.spend(tensor.shape.len())?;
                Value::Tensor(tensor.clone())
            }
            other @ (Node::Global(_) | Node::Storage(_)) => {
                return Err(PickleError::NotData { what: other.kind() });
            }
        })
    }

    fn values(&mut self, items: &[Id], depth: usize) -> Result<Vec<Value>, PickleError> {
        items.iter().map(|&id| self.value(id, depth + 1)).collect()
    }

    fn dict(&mut self, items: &[(Id, Id)], depth: usize) -> Result<Vec<(String, Value)>, PickleError> {
        let nodes = self.nodes;
        let (mut seen, mut dict) = (HashSet::new(), Vec::new());
        for &(key, value) in items {
            let Node::Str(key) = &nodes[key] else {
                return Err(PickleError::Key { got: nodes[key].kind() });
            };
            if !seen.insert(key.as_ref()) {
                return Err(PickleError::DuplicateKey { key: key.to_string() });
            }
            dict.push((self.string(key)?, self.value(value, depth + 1)?));
        }
        Ok(dict)
    }
}
