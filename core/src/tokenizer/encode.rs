//! Text to ids: byte-pair merging by rank over normalized text.
//!
//! Symbols start as user-defined pieces (frozen) or single characters; the pair whose concatenation has the
//! smallest rank merges first, leftmost on a tie, until no pair is a piece. That is SentencePiece's order,
//! with a heap of candidate pairs in O(n log n). Where no merge can cross into a space, text is merged word
//! by word, which gives the same ids from much smaller heaps.
//!
//! Invariant: the spans of an [`Encoding`] cover the normalized text without gap or overlap. Control pieces
//! are never produced from text, not even one whose text is a single character.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::ops::Range;

use super::{PieceKind, Tokenizer};

/// Ids of a text and the part of the normalized text that each stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoding {
    /// The text after normalization; see [`Tokenizer::normalize`].
    pub normalized: String,
    /// Token ids, no BOS.
    pub ids: Vec<u32>,
    /// Per id, where its part of `normalized` ends, in bytes; it starts where the one before ends. The byte
    /// pieces of a character split it byte by byte.
    pub ends: Vec<usize>,
}

impl Encoding {
    /// The bytes of `normalized` that token `index` stands for.
    ///
    /// # Panics
    /// When `index` is not below the number of ids.
    pub fn span(&self, index: usize) -> Range<usize> {
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        start..self.ends[index]
    }

    fn push(&mut self, id: u32, bytes: usize) {
        let start = self.ends.last().copied().unwrap_or(0);
        self.ids.push(id);
        self.ends.push(start + bytes);
    }
}

impl Tokenizer {
    /// The ids of `text`, no BOS.
    pub fn encode(&self, text: &str) -> Vec<u32> {
        self.encode_with_spans(text).ids
    }

    /// The ids of `text`, no BOS, with what each stands for.
    pub fn encode_with_spans(&self, text: &str) -> Encoding {
        let normalized = self.normalize(text);
        let mut encoding = Encoding { normalized: String::new(), ids: Vec::new(), ends: Vec::new() };
        let mut merger = Merger::new(self);
        let space = self.normalizer.settings.space();
        let mut rest = &*normalized;
        while !rest.is_empty() {
            let word = if self.splits_before_spaces { word_bytes(rest, space) } else { rest.len() };
            merger.merge(&rest[..word]);
            merger.emit(&rest[..word], &mut encoding);
            rest = &rest[word..];
        }
        encoding.normalized = normalized;
        encoding
    }
}

/// Length of the longest start of `text` in which no space follows a non-space.
fn word_bytes(text: &str, space: char) -> usize {
    let word = text.trim_start_matches(space);
    let spaces = text.len() - word.len();
    spaces + word.find(space).unwrap_or(word.len())
}

const NONE: u32 = u32::MAX;

/// A stretch of the text; merged-away symbols have no bytes.
struct Symbol {
    start: usize,
    bytes: usize,
    previous: u32,
    next: u32,
    frozen: bool,
}

/// A candidate merge, ordered by what merges first: rank, then position. `bytes` tells stale ones.
type Candidate = Reverse<(u32, u32, u32, usize)>;

struct Merger<'a> {
    tokenizer: &'a Tokenizer,
    symbols: Vec<Symbol>,
    agenda: BinaryHeap<Candidate>,
    /// Where an unused piece was last joined, in bytes from its start.
    joints: HashMap<u32, usize>,
}

impl<'a> Merger<'a> {
    fn new(tokenizer: &'a Tokenizer) -> Self {
        Merger { tokenizer, symbols: Vec::new(), agenda: BinaryHeap::new(), joints: HashMap::new() }
    }

    fn merge(&mut self, text: &str) {
        self.split(text);
        for right in 1..self.symbols.len() as u32 {
            self.propose(text, right - 1, right);
        }
        while let Some(Reverse((_, left, right, bytes))) = self.agenda.pop() {
            let (left_bytes, right_bytes) = (self.at(left).bytes, self.at(right).bytes);
            if left_bytes == 0 || right_bytes == 0 || left_bytes + right_bytes != bytes {
                continue;
            }
            let next = self.at(right).next;
            self.symbols[right as usize].bytes = 0;
            if next != NONE {
                self.symbols[next as usize].previous = left;
            }
            let merged = &mut self.symbols[left as usize];
            merged.bytes = bytes;
            merged.next = next;
            let previous = merged.previous;
            self.propose(text, previous, left);
            self.propose(text, left, next);
        }
    }

    fn at(&self, index: u32) -> &Symbol {
        &self.symbols[index as usize]
    }

    fn split(&mut self, text: &str) {
        self.symbols.clear();
        self.joints.clear();
        let mut start = 0;
        while start < text.len() {
            let rest = &text[start..];
            let symbol = self.tokenizer.user_symbols.longest_prefix(rest.as_bytes());
            let character = rest.chars().next().map_or(0, char::len_utf8);
            let bytes = symbol.map_or(character, |(bytes, _)| bytes);
            let index = self.symbols.len() as u32;
            let previous = index.checked_sub(1).unwrap_or(NONE);
            self.symbols.push(Symbol { start, bytes, previous, next: index + 1, frozen: symbol.is_some() });
            start += bytes;
        }
        if let Some(last) = self.symbols.last_mut() {
            last.next = NONE;
        }
    }

    /// Puts the pair on the agenda if its concatenation is a piece.
    fn propose(&mut self, text: &str, left: u32, right: u32) {
        if left == NONE || right == NONE || self.at(left).frozen || self.at(right).frozen {
            return;
        }
        let (start, left_bytes) = (self.at(left).start, self.at(left).bytes);
        let bytes = left_bytes + self.at(right).bytes;
        if bytes > self.tokenizer.longest_piece {
            return;
        }
        let Some(id) = self.tokenizer.index.get(&text[start..start + bytes]) else { return };
        let piece = &self.tokenizer.pieces[*id as usize];
        if !piece.kind.is_merged() {
            return;
        }
        if piece.kind == PieceKind::Unused {
            self.joints.insert(*id, left_bytes);
        }
        self.agenda.push(Reverse((piece.rank, left, right, bytes)));
    }

    /// Writes the ids of the merged symbols.
    fn emit(&self, text: &str, encoding: &mut Encoding) {
        let mut index = 0;
        while index != NONE {
            let Some(symbol) = self.symbols.get(index as usize) else { return };
            self.emit_piece(&text[symbol.start..symbol.start + symbol.bytes], encoding);
            index = symbol.next;
        }
    }

    /// Writes one symbol; unused pieces are split again where they were joined, and are unknown where
    /// nothing was joined.
    fn emit_piece(&self, text: &str, encoding: &mut Encoding) {
        let mut pending = vec![text];
        while let Some(text) = pending.pop() {
            let id = self.tokenizer.index.get(text).copied();
            let joint = id.and_then(|id| self.joints.get(&id));
            match (id, joint) {
                (_, Some(joint)) => {
                    let (left, right) = text.split_at(*joint);
                    pending.extend([right, left]);
                }
                (Some(id), None) if self.tokenizer.pieces[id as usize].kind != PieceKind::Unused => {
                    encoding.push(id, text.len());
                }
                _ => self.emit_unknown(text, encoding),
            }
        }
    }

    /// Bytes where there are byte pieces; otherwise one unknown piece for a whole run of unknown text.
    fn emit_unknown(&self, text: &str, encoding: &mut Encoding) {
        let unk = self.tokenizer.unk;
        if let Some(byte_ids) = &self.tokenizer.byte_ids {
            for byte in text.bytes() {
                encoding.push(byte_ids[usize::from(byte)], 1);
            }
        } else if let (Some(last), Some(end)) = (encoding.ids.last(), encoding.ends.last_mut())
            && *last == unk
        {
            *end += text.len();
        } else {
            encoding.push(unk, text.len());
        }
    }
}
