//! The stack machine behind [`super::load`].
//!
//! Objects live in an arena and are named by index, on the stack, in the memo and inside each other; this is what
//! keeps sharing cheap. Only the final object is written out as a tree, under a node and depth budget.

use std::sync::Arc;

use super::node::{self, Global, Id, Node};
use super::{
    MAX_DEPTH, MAX_MEMO, MAX_RANK, MAX_STACK, MAX_STRING, MAX_TUPLE, MAX_VALUES, PickleError, StorageRef,
    TensorRef, Value,
};

/// Longest line of a `GLOBAL` that is looked at.
const MAX_LINE: usize = 256;

struct Machine<'a> {
    program: &'a [u8],
    /// Next byte.
    at: usize,
    /// First byte of the opcode being executed.
    start: usize,
    nodes: Vec<Node>,
    stack: Vec<Id>,
    marks: Vec<usize>,
    memo: Vec<Option<Id>>,
}

/// Runs `program` and writes its result out as a tree.
pub(super) fn run(program: &[u8]) -> Result<Value, PickleError> {
    let mut machine = Machine {
        program,
        at: 0,
        start: 0,
        nodes: Vec::new(),
        stack: Vec::new(),
        marks: Vec::new(),
        memo: Vec::new(),
    };
    while !machine.step()? {}
    if machine.at != program.len() {
        return Err(PickleError::Trailing { at: machine.at });
    }
    let result = machine.pop()?;
    if !machine.stack.is_empty() || !machine.marks.is_empty() {
        return Err(PickleError::Kind { at: machine.start, expected: "one value on the stack at the end" });
    }
    node::tree(&machine.nodes, result)
}

impl Machine<'_> {
    /// Executes one opcode; true after `STOP`.
    fn step(&mut self) -> Result<bool, PickleError> {
        self.start = self.at;
        let [opcode] = self.take("an opcode")?;
        match opcode {
            b'.' => return Ok(true),
            0x80 => {
                let [got] = self.take("a protocol number")?;
                if got != 2 {
                    return Err(PickleError::Protocol { got });
                }
            }
            b'(' => {
                self.limit("open marks", self.marks.len() + 1, MAX_DEPTH)?;
                self.marks.push(self.stack.len());
            }
            b'N' => self.push(Node::None)?,
            0x88 => self.push(Node::Bool(true))?,
            0x89 => self.push(Node::Bool(false))?,
            b'J' | b'K' | b'M' | 0x8a | b'G' => self.number(opcode)?,
            b'X' => self.string()?,
            b'}' => self.push(Node::Dict { ordered: false, items: Vec::new() })?,
            b']' => self.push(Node::List(Vec::new()))?,
            b')' => self.push(Node::Tuple(Vec::new()))?,
            0x85..=0x87 => {
                let count = usize::from(opcode - 0x84);
                let items = self.pop_many(count)?;
                self.push(Node::Tuple(items))?;
            }
            b't' => {
                let items = self.pop_mark()?;
                self.limit("items of a tuple", items.len(), MAX_TUPLE)?;
                self.push(Node::Tuple(items))?;
            }
            b'q' | b'r' | b'h' | b'j' => self.memory(opcode)?,
            b's' | b'u' => self.set_items(opcode == b'u')?,
            b'a' | b'e' => self.append(opcode == b'e')?,
            b'c' => self.global()?,
            b'Q' => self.persistent_id()?,
            b'R' => self.reduce()?,
            b'b' => self.build()?,
            _ => return Err(PickleError::Opcode { at: self.start, opcode }),
        }
        Ok(false)
    }

    fn take<const N: usize>(&mut self, expected: &'static str) -> Result<[u8; N], PickleError> {
        let chunk = self.program[self.at..].first_chunk::<N>().copied();
        self.at += if chunk.is_some() { N } else { 0 };
        chunk.ok_or(PickleError::Truncated { at: self.at, expected })
    }

    fn take_slice(&mut self, len: usize, expected: &'static str) -> Result<&[u8], PickleError> {
        let slice =
            self.program[self.at..].get(..len).ok_or(PickleError::Truncated { at: self.at, expected })?;
        self.at += len;
        Ok(slice)
    }

    fn limit(&self, what: &'static str, got: usize, limit: usize) -> Result<(), PickleError> {
        if got > limit { Err(PickleError::Limit { at: self.start, what, limit, got }) } else { Ok(()) }
    }

    fn underflow(&self) -> PickleError {
        PickleError::Underflow { at: self.start }
    }

    fn push(&mut self, node: Node) -> Result<(), PickleError> {
        self.limit("objects", self.nodes.len() + 1, MAX_VALUES)?;
        self.nodes.push(node);
        self.push_id(self.nodes.len() - 1)
    }

    fn push_id(&mut self, id: Id) -> Result<(), PickleError> {
        self.limit("values on the stack", self.stack.len() + 1, MAX_STACK)?;
        self.stack.push(id);
        Ok(())
    }

    /// Pops one value, never one below an open mark.
    fn pop(&mut self) -> Result<Id, PickleError> {
        if self.stack.len() <= self.marks.last().copied().unwrap_or(0) {
            return Err(self.underflow());
        }
        self.stack.pop().ok_or(PickleError::Underflow { at: self.start })
    }

    fn pop_many(&mut self, count: usize) -> Result<Vec<Id>, PickleError> {
        let floor = self.marks.last().copied().unwrap_or(0);
        match self.stack.len().checked_sub(count) {
            Some(from) if from >= floor => Ok(self.stack.split_off(from)),
            _ => Err(self.underflow()),
        }
    }

    /// Pops everything above the last mark, and the mark.
    fn pop_mark(&mut self) -> Result<Vec<Id>, PickleError> {
        let mark = self.marks.pop().ok_or(PickleError::Underflow { at: self.start })?;
        Ok(self.stack.split_off(mark))
    }

    /// The value on top, left there.
    fn top(&self) -> Result<Id, PickleError> {
        let floor = self.marks.last().copied().unwrap_or(0);
        self.stack.get(floor..).and_then(<[Id]>::last).copied().ok_or_else(|| self.underflow())
    }

    fn number(&mut self, opcode: u8) -> Result<(), PickleError> {
        const INT: &str = "an integer";
        let node = match opcode {
            b'J' => Node::Int(i64::from(i32::from_le_bytes(self.take(INT)?))),
            b'K' => Node::Int(i64::from(u8::from_le_bytes(self.take(INT)?))),
            b'M' => Node::Int(i64::from(u16::from_le_bytes(self.take(INT)?))),
            b'G' => Node::Float(f64::from_be_bytes(self.take("a float")?)),
            _ => {
                let [len] = self.take("the length of an integer")?;
                self.limit("bytes of an integer", usize::from(len), 8)?;
                let bytes = self.take_slice(usize::from(len), INT)?;
                let negative = bytes.last().is_some_and(|b| b & 0x80 != 0);
                let mut wide = [if negative { 0xff } else { 0 }; 8];
                wide[..bytes.len()].copy_from_slice(bytes);
                Node::Int(i64::from_le_bytes(wide))
            }
        };
        self.push(node)
    }

    fn string(&mut self) -> Result<(), PickleError> {
        let len = u32::from_le_bytes(self.take("the length of a string")?) as usize;
        self.limit("bytes of a string", len, MAX_STRING)?;
        let at = self.start;
        let text =
            std::str::from_utf8(self.take_slice(len, "a string")?).map_err(|_| PickleError::Utf8 { at })?;
        let text = Arc::from(text);
        self.push(Node::Str(text))
    }

    fn memory(&mut self, opcode: u8) -> Result<(), PickleError> {
        const SLOT: &str = "a memo slot";
        let slot = match opcode {
            b'q' | b'h' => u32::from(u8::from_le_bytes(self.take(SLOT)?)),
            _ => u32::from_le_bytes(self.take(SLOT)?),
        } as usize;
        if matches!(opcode, b'h' | b'j') {
            let id = self.memo.get(slot).copied().flatten();
            return self.push_id(id.ok_or(PickleError::Memo { at: self.start, slot })?);
        }
        self.limit("memo slots", slot + 1, MAX_MEMO)?;
        // A slot costs a program at least two bytes, so that the memo cannot outgrow it by a far index.
        self.limit("memo slots for a program of this length", slot + 1, self.program.len())?;
        let id = self.top()?;
        if self.memo.len() <= slot {
            self.memo.resize(slot + 1, None);
        }
        self.memo[slot] = Some(id);
        Ok(())
    }

    fn set_items(&mut self, many: bool) -> Result<(), PickleError> {
        let flat = if many { self.pop_mark()? } else { self.pop_many(2)? };
        let (target, at) = (self.top()?, self.start);
        if flat.len() % 2 == 1 {
            return Err(PickleError::Kind { at, expected: "as many keys as values" });
        }
        match &mut self.nodes[target] {
            Node::Dict { items, .. } => items.extend(flat.chunks_exact(2).map(|pair| (pair[0], pair[1]))),
            _ => return Err(PickleError::Kind { at, expected: "a dict" }),
        }
        Ok(())
    }

    fn append(&mut self, many: bool) -> Result<(), PickleError> {
        let flat = if many { self.pop_mark()? } else { self.pop_many(1)? };
        let (target, at) = (self.top()?, self.start);
        match &mut self.nodes[target] {
            Node::List(items) => items.extend(flat),
            _ => return Err(PickleError::Kind { at, expected: "a list" }),
        }
        Ok(())
    }

    fn line(&mut self) -> Result<String, PickleError> {
        let window = &self.program[self.at..];
        let window = &window[..window.len().min(MAX_LINE)];
        let len = window
            .iter()
            .position(|&b| b == b'\n')
            .ok_or(PickleError::Truncated { at: self.at, expected: "a line of at most 256 bytes" })?;
        self.at += len + 1;
        Ok(window[..len].escape_ascii().to_string())
    }

    fn global(&mut self) -> Result<(), PickleError> {
        let (module, name) = (self.line()?, self.line()?);
        match Global::find(&module, &name) {
            Some(global) => self.push(Node::Global(global)),
            None => Err(PickleError::Global { at: self.start, module, name }),
        }
    }

    /// `("storage", StorageType, key, device, numel)`.
    fn persistent_id(&mut self) -> Result<(), PickleError> {
        let id = self.pop()?;
        let storage = match &self.nodes[id] {
            Node::Tuple(items) => self.storage(items),
            _ => None,
        };
        let storage = storage.ok_or(PickleError::Arguments {
            at: self.start,
            callable: "a persistent id",
            expected: "(\"storage\", storage type, key, device, element count)",
        })?;
        self.push(Node::Storage(Arc::new(storage)))
    }

    fn storage(&self, items: &[Id]) -> Option<StorageRef> {
        let &[tag, kind, key, device, numel] = items else { return None };
        let nodes = &self.nodes;
        match (&nodes[tag], &nodes[kind], &nodes[key], &nodes[device], &nodes[numel]) {
            (
                Node::Str(tag),
                Node::Global(Global::Storage(element)),
                Node::Str(key),
                Node::Str(_),
                &Node::Int(numel),
            ) if tag.as_ref() == "storage" => Some(StorageRef {
                key: key.to_string(),
                element: *element,
                numel: u64::try_from(numel).ok()?,
            }),
            _ => None,
        }
    }

    fn reduce(&mut self) -> Result<(), PickleError> {
        let (arguments, callable, at) = (self.pop()?, self.pop()?, self.start);
        let Node::Tuple(items) = &self.nodes[arguments] else {
            return Err(PickleError::Kind { at, expected: "a tuple of arguments" });
        };
        match &self.nodes[callable] {
            Node::Global(Global::OrderedDict) if items.is_empty() => {
                self.push(Node::Dict { ordered: true, items: Vec::new() })
            }
            Node::Global(Global::OrderedDict) => {
                Err(PickleError::Arguments { at, callable: "`OrderedDict`", expected: "none" })
            }
            Node::Global(Global::RebuildTensor) => {
                let tensor = self.tensor(items).ok_or(PickleError::Arguments {
                    at,
                    callable: "`_rebuild_tensor_v2`",
                    expected: "(storage, offset, shape, stride, bool, empty dict), sizes of at least 0 and rank at most 8",
                })?;
                self.push(Node::Tensor(tensor))
            }
            other => Err(PickleError::NotCallable { at, what: other.kind() }),
        }
    }

    fn tensor(&self, items: &[Id]) -> Option<TensorRef> {
        let &[storage, offset, shape, stride, grad, hooks] = items else { return None };
        let nodes = &self.nodes;
        match (&nodes[storage], &nodes[offset], &nodes[grad], &nodes[hooks]) {
            (Node::Storage(storage), &Node::Int(offset), Node::Bool(_), Node::Dict { items, .. })
                if items.is_empty() =>
            {
                let (shape, stride) = (self.sizes(shape)?, self.sizes(stride)?);
                (shape.len() == stride.len() && shape.len() <= MAX_RANK).then_some(TensorRef {
                    storage: Arc::clone(storage),
                    offset: u64::try_from(offset).ok()?,
                    shape,
                    stride,
                })
            }
            _ => None,
        }
    }

    fn sizes(&self, id: Id) -> Option<Vec<usize>> {
        let Node::Tuple(items) = &self.nodes[id] else { return None };
        let size = |&id: &Id| match self.nodes[id] {
            Node::Int(size) => usize::try_from(size).ok(),
            _ => None,
        };
        items.iter().map(size).collect()
    }

    /// Attaches `_metadata` to a state dict, which is to say drops it: it holds module versions, no tensors.
    fn build(&mut self) -> Result<(), PickleError> {
        let state = self.pop()?;
        let target = self.top()?;
        let is_metadata = |id: &Id| matches!(&self.nodes[*id], Node::Str(s) if s.as_ref() == "_metadata");
        match (&self.nodes[target], &self.nodes[state]) {
            (Node::Dict { ordered: true, .. }, Node::Dict { items, .. })
                if items.iter().all(|(key, _)| is_metadata(key)) =>
            {
                Ok(())
            }
            _ => Err(PickleError::Build { at: self.start }),
        }
    }
}
