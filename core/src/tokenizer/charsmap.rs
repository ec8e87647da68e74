//! Reads SentencePiece's precompiled character map into plain rules.
//!
//! The map is a little-endian byte count, a double-array trie (Darts) of that size, and NUL-terminated
//! replacements that the trie's values point into. The array is walked once, every access checked, and
//! forgotten: what the tokenizer keeps are the rules themselves, so that maps from files and from
//! artifacts are the same thing. Not a writer of such maps.

use super::CharsmapError;
use super::normalizer::Rule;

/// Most rules of one tokenizer; the largest map in use has 225,262.
pub(crate) const MAX_RULES: usize = 1 << 19;
/// Most bytes in sources and targets of all rules.
pub(crate) const MAX_RULE_BYTES: usize = 16 << 20;
/// Largest map in use: 262,822 nodes. A cyclic array would have endlessly many.
const MAX_NODES: usize = 1 << 21;
/// Longest source in use: 12 bytes.
const MAX_SOURCE_BYTES: usize = 256;

/// The rules of a precompiled map, sorted by source.
pub(crate) fn rules_of(map: &[u8]) -> Result<Vec<Rule>, CharsmapError> {
    let too_short = CharsmapError::TooShort { got: map.len() };
    let Some((size, rest)) = map.split_first_chunk::<4>() else { return Err(too_short) };
    if rest.is_empty() {
        return Err(too_short);
    }
    let trie_bytes = u32::from_le_bytes(*size) as usize;
    if trie_bytes == 0 || !trie_bytes.is_multiple_of(4) || trie_bytes > rest.len() {
        return Err(CharsmapError::TrieSize { trie: trie_bytes, map: rest.len() });
    }
    let (trie, targets) = rest.split_at(trie_bytes);
    let units = trie.chunks_exact(4).map(|unit| u32::from_le_bytes([unit[0], unit[1], unit[2], unit[3]]));
    Walk { units: units.collect(), targets, rules: Vec::new(), bytes: 0 }.run()
}

struct Walk<'a> {
    units: Vec<u32>,
    targets: &'a [u8],
    rules: Vec<Rule>,
    bytes: usize,
}

impl Walk<'_> {
    fn run(mut self) -> Result<Vec<Rule>, CharsmapError> {
        let mut stack = vec![(0usize, Vec::new())];
        let mut nodes = 0;
        while let Some((node, key)) = stack.pop() {
            nodes += 1;
            if nodes > MAX_NODES {
                return Err(CharsmapError::TooManyNodes { limit: MAX_NODES });
            }
            let base = node ^ offset(self.units[node]);
            // Label 0 leads to a value, never to a longer key.
            for label in (1..=255u8).rev() {
                let child = base ^ usize::from(label);
                if self.units.get(child).is_none_or(|unit| unit & LABEL_MASK != u32::from(label)) {
                    continue;
                }
                let mut longer = key.clone();
                longer.push(label);
                if longer.len() > MAX_SOURCE_BYTES {
                    return Err(CharsmapError::TooManyNodes { limit: MAX_NODES });
                }
                if self.units[child] & HAS_LEAF != 0 {
                    self.add_rule(child, &longer)?;
                }
                stack.push((child, longer));
            }
        }
        self.rules.sort_unstable();
        Ok(self.rules)
    }

    fn add_rule(&mut self, unit: usize, source: &[u8]) -> Result<(), CharsmapError> {
        let pointer = CharsmapError::Pointer { unit };
        let Some(value) = self.units.get(unit ^ offset(self.units[unit])) else { return Err(pointer) };
        let Some(target) = self.targets.get((value & !VALUE_FLAG) as usize..) else { return Err(pointer) };
        let target = target.split(|byte| *byte == 0).next().unwrap_or_default();
        self.bytes += source.len() + target.len();
        if self.rules.len() == MAX_RULES || self.bytes > MAX_RULE_BYTES {
            return Err(CharsmapError::TooLarge { rules: MAX_RULES, bytes: MAX_RULE_BYTES });
        }
        let text = |bytes: &[u8]| {
            std::str::from_utf8(bytes).map(Box::from).map_err(|_| CharsmapError::NotUtf8 { unit })
        };
        self.rules.push(Rule { source: text(source)?, target: text(target)? });
        Ok(())
    }
}

// A unit of the double array: label in bits 0-7, leaf flag in bit 8, offset in bits 10-30, shifted by 8 more
// if bit 9 is set. Units that hold values have bit 31 set, so they match no label.
const VALUE_FLAG: u32 = 1 << 31;
const LABEL_MASK: u32 = VALUE_FLAG | 0xff;
const HAS_LEAF: u32 = 1 << 8;

fn offset(unit: u32) -> usize {
    let shift = if unit & (1 << 9) != 0 { 8 } else { 0 };
    (((unit & !VALUE_FLAG) >> 10) as usize) << shift
}
