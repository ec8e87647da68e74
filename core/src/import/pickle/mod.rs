//! A reader of the pickle subset that `torch.save` writes, producing plain data.
//!
//! Pickle is a program for a stack machine, and the general machine can call anything. This one knows protocol 2's
//! data opcodes, five kinds of objects, and exactly two callables: `collections.OrderedDict()` and
//! `torch._utils._rebuild_tensor_v2`, both of which only build a [`Value`]. Every other global, and every opcode that
//! could reach one, is refused by name and offset.
//!
//! Invariant: work and memory are linear in the length of the program (objects are shared by index, never copied, so a
//! memo bomb stays small), and [`Value`] has at most [`MAX_VALUES`] nodes at most [`MAX_DEPTH`] deep. Storages are not
//! touched here: a [`TensorRef`] is a claim that [`super::storage`] checks.

mod machine;
mod node;

use std::sync::Arc;

use thiserror::Error;

use super::Limits;

/// Deepest nesting of containers, and of open marks.
pub const MAX_DEPTH: usize = 32;
/// Most objects that a program may create, and most nodes of the result (long strings count as several).
pub const MAX_VALUES: usize = 1 << 20;
/// Most values on the stack at once.
pub const MAX_STACK: usize = 1 << 18;
/// Largest memo index plus one.
pub const MAX_MEMO: usize = 1 << 20;
/// Longest string in bytes: parameter names, dtypes, device names.
pub const MAX_STRING: usize = 4096;
/// Longest tuple: the arguments of a callable, a shape.
pub const MAX_TUPLE: usize = 64;
/// Largest rank of a tensor.
pub const MAX_RANK: usize = 8;

/// Element type of a storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Element {
    /// `torch.HalfStorage`.
    F16,
    /// `torch.BFloat16Storage`.
    BF16,
    /// `torch.FloatStorage`.
    F32,
    /// `torch.CharStorage`.
    I8,
    /// `torch.ByteStorage`.
    U8,
    /// `torch.ShortStorage`.
    I16,
    /// `torch.IntStorage`.
    I32,
    /// `torch.LongStorage`.
    I64,
    /// `torch.BoolStorage`.
    Bool,
}

impl Element {
    /// Bytes of one element.
    pub fn bytes(self) -> u64 {
        match self {
            Self::I8 | Self::U8 | Self::Bool => 1,
            Self::F16 | Self::BF16 | Self::I16 => 2,
            Self::F32 | Self::I32 => 4,
            Self::I64 => 8,
        }
    }
}

/// A storage that a program claims to exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StorageRef {
    /// Name of the ZIP entry below `data/`.
    pub key: String,
    /// Element type.
    pub element: Element,
    /// Claimed number of elements.
    pub numel: u64,
}

/// A strided view of a storage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorRef {
    /// The storage, shared between its views.
    pub storage: Arc<StorageRef>,
    /// First element.
    pub offset: u64,
    /// Extents.
    pub shape: Vec<usize>,
    /// Elements between neighbours along each dimension.
    pub stride: Vec<usize>,
}

/// Plain data out of a pickle.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `None`.
    None,
    /// A truth value.
    Bool(bool),
    /// An integer of at most 64 bits.
    Int(i64),
    /// A float.
    Float(f64),
    /// A string.
    Str(String),
    /// A list.
    List(Vec<Value>),
    /// A tuple.
    Tuple(Vec<Value>),
    /// A dict or ordered dict, in insertion order; keys are strings and unique.
    Dict(Vec<(String, Value)>),
    /// A tensor.
    Tensor(TensorRef),
}

impl Value {
    /// What the value is, for messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::None => "None",
            Self::Bool(_) => "a bool",
            Self::Int(_) => "an int",
            Self::Float(_) => "a float",
            Self::Str(_) => "a string",
            Self::List(_) => "a list",
            Self::Tuple(_) => "a tuple",
            Self::Dict(_) => "a dict",
            Self::Tensor(_) => "a tensor",
        }
    }
}

/// Why a pickle was refused; offsets are in bytes from its start.
#[derive(Clone, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum PickleError {
    /// The program is longer than the limit.
    #[error("pickle of {got} bytes: expected at most {limit}")]
    TooLong {
        /// Its length.
        got: usize,
        /// The limit.
        limit: u64,
    },
    /// The program ends inside an opcode or without `STOP`.
    #[error("pickle ends at offset {at}: expected {expected}")]
    Truncated {
        /// Where.
        at: usize,
        /// What was to follow.
        expected: &'static str,
    },
    /// Bytes after `STOP`.
    #[error("pickle goes on after its end at offset {at}")]
    Trailing {
        /// Where it should end.
        at: usize,
    },
    /// A protocol other than 2.
    #[error(
        "pickle protocol {got}: expected 2\nhint: torch.save without `pickle_protocol` writes protocol 2"
    )]
    Protocol {
        /// The protocol.
        got: u8,
    },
    /// An opcode that data does not need.
    #[error("opcode {opcode:#04x} at offset {at} of the pickle: not on the list of data opcodes")]
    Opcode {
        /// Where.
        at: usize,
        /// The byte.
        opcode: u8,
    },
    /// A global that is not on the list.
    #[error(
        "global `{module}.{name}` at offset {at} of the pickle: not on the list of harmless ones\nhint: the file would run code when loaded by torch; ask for a plain state dict"
    )]
    Global {
        /// Where.
        at: usize,
        /// Module, escaped and shortened.
        module: String,
        /// Name, escaped and shortened.
        name: String,
    },
    /// `REDUCE` on something else than the two callables.
    #[error("call of {what} at offset {at} of the pickle: expected `OrderedDict` or `_rebuild_tensor_v2`")]
    NotCallable {
        /// Where.
        at: usize,
        /// What was to be called.
        what: &'static str,
    },
    /// `BUILD` that does something else than attach `_metadata` to an ordered dict.
    #[error("object state at offset {at} of the pickle: expected `_metadata` of an ordered dict")]
    Build {
        /// Where.
        at: usize,
    },
    /// Arguments of a callable or of a persistent id.
    #[error("arguments of {callable} at offset {at} of the pickle: expected {expected}")]
    Arguments {
        /// Where.
        at: usize,
        /// Whose.
        callable: &'static str,
        /// What would be accepted.
        expected: &'static str,
    },
    /// Fewer values on the stack than an opcode takes, or no mark.
    #[error("stack underflow at offset {at} of the pickle")]
    Underflow {
        /// Where.
        at: usize,
    },
    /// A value of the wrong kind.
    #[error("wrong kind of value at offset {at} of the pickle: expected {expected}")]
    Kind {
        /// Where.
        at: usize,
        /// What would be accepted.
        expected: &'static str,
    },
    /// A memo slot that was never filled.
    #[error("memo slot {slot} at offset {at} of the pickle was never stored")]
    Memo {
        /// Where.
        at: usize,
        /// The slot.
        slot: usize,
    },
    /// A size beyond its limit.
    #[error("{what} at offset {at} of the pickle: expected at most {limit}, got {got}")]
    Limit {
        /// Where.
        at: usize,
        /// Of what.
        what: &'static str,
        /// The limit.
        limit: usize,
        /// The size.
        got: usize,
    },
    /// A string that is not UTF-8.
    #[error("string at offset {at} of the pickle is not UTF-8")]
    Utf8 {
        /// Where.
        at: usize,
    },
    /// A dict key that is not a string.
    #[error("dict key is {got}: expected a string")]
    Key {
        /// What it is.
        got: &'static str,
    },
    /// A dict with a key twice.
    #[error("dict key `{key}` appears twice")]
    DuplicateKey {
        /// The key.
        key: String,
    },
    /// The result nests too deeply or contains itself.
    #[error("values nest deeper than {MAX_DEPTH}")]
    TooDeep,
    /// The result has too many nodes once shared objects are written out.
    #[error("more than {MAX_VALUES} values")]
    TooManyValues,
    /// The result contains a callable or a bare storage.
    #[error("the result contains {what}: expected data")]
    NotData {
        /// What.
        what: &'static str,
    },
}

/// Interprets `program`, at most [`Limits::pickle_bytes`] long.
pub fn load(program: &[u8], limits: &Limits) -> Result<Value, PickleError> {
    if program.len() as u64 > limits.pickle_bytes {
        return Err(PickleError::TooLong { got: program.len(), limit: limits.pickle_bytes });
    }
    machine::run(program)
}
