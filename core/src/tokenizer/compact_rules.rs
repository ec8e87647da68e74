//! Normalization rules in a few kilobytes.
//!
//! The maps in use have 225,000 rules, nearly all of which follow from Unicode: a single character becomes
//! its NFKC form, and a sequence that decomposes like a composite character becomes that character. So what
//! is written is: the characters that have a rule, the composites that have sequences, and every rule that
//! cannot be predicted from those. Prediction uses only characters that were named when writing, whose
//! normalization Unicode guarantees never to change; a digest of the rules makes any surprise an error.
//!
//! Layout: the sets `derived` (rule to NFKC), `folded` (other target, but equivalent to another character)
//! and `single` (other target); one target per member of the latter two; the set `composites`; explicit
//! rules (source, target) that the prediction lacks or gets wrong; sources that it has too many; 8 bytes of
//! SHA-256 over all rules, if there are any. A set is a count of runs, then (gap, length - 1) each; a source
//! is (bytes shared with the one before, length of the rest, rest).

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest, Sha256};
use unicode_normalization::UnicodeNormalization;

use super::CompactError;
use super::charsmap::{MAX_RULE_BYTES, MAX_RULES};
use super::compact::{Reader, Writer};
use super::normalizer::Rule;

const LAST_CHARACTER: u64 = char::MAX as u64;
const DIGEST_BYTES: usize = 8;
/// Longest source or target; larger than any precompiled map allows a source to be.
const MAX_TEXT_BYTES: usize = 1 << 20;

type Rules = BTreeMap<Box<str>, Box<str>>;

/// The rules, seen as deviations from Unicode.
#[derive(Default)]
struct Description {
    derived: BTreeSet<char>,
    folded: BTreeMap<char, Box<str>>,
    single: BTreeMap<char, Box<str>>,
    composites: BTreeSet<char>,
}

impl Description {
    fn of(rules: &[Rule]) -> Description {
        let mut description = Description::default();
        for Rule { source, target } in rules {
            match only_char(source) {
                Some(c) if nfkc(source) == **target => {
                    description.derived.insert(c);
                }
                Some(c) if equivalent(c).is_some() => {
                    description.folded.insert(c, target.clone());
                }
                Some(c) => {
                    description.single.insert(c, target.clone());
                }
                None => description.composites.extend(only_char(&nfkc(source))),
            }
        }
        description
    }

    /// The rules that follow, or `None` if they are more than any tokenizer may have.
    fn predict(&self) -> Option<Rules> {
        let mut rules = Rules::new();
        let mut variants: BTreeMap<char, Vec<char>> = BTreeMap::new();
        if self.derived.len() > MAX_RULES {
            return None;
        }
        for c in &self.derived {
            rules.insert(c.to_string().into(), nfkc(&c.to_string()).into());
        }
        for (c, target) in self.folded.iter().chain(&self.single) {
            rules.insert(c.to_string().into(), target.clone());
        }
        for c in self.derived.iter().chain(self.folded.keys()) {
            if let Some(same) = equivalent(*c) {
                variants.entry(same).or_insert_with(|| vec![same]).push(*c);
            }
        }
        let mut bytes = rules.iter().map(|(source, target)| source.len() + target.len()).sum::<usize>();
        for composite in &self.composites {
            let name = composite.to_string();
            // A composite that has a rule itself, as in case folding, hands its target on.
            let target = rules.get(&*name).cloned().unwrap_or_else(|| name.clone().into());
            let sources = spellings(*composite, &variants, MAX_RULES - rules.len().min(MAX_RULES))?;
            for source in sources.into_iter().filter(|source| *source != name) {
                bytes += source.len() + target.len();
                rules.insert(source.into(), target.clone());
            }
            if rules.len() > MAX_RULES || bytes > MAX_RULE_BYTES {
                return None;
            }
        }
        Some(rules)
    }
}

/// Every sequence whose full decomposition is that of `composite`, at most `limit` of them.
fn spellings(composite: char, variants: &BTreeMap<char, Vec<char>>, limit: usize) -> Option<Vec<String>> {
    let mut spellings = vec![String::new()];
    for part in std::iter::once(composite).nfkd() {
        let alone = [part];
        let choices = variants.get(&part).map_or(&alone[..], Vec::as_slice);
        if spellings.len() * choices.len() > limit {
            return None;
        }
        let extended = |start: &String| {
            let start = start.clone();
            choices.iter().map(move |choice| format!("{start}{choice}"))
        };
        spellings = spellings.iter().flat_map(extended).collect();
    }
    Some(spellings)
}

fn nfkc(text: &str) -> String {
    text.nfkc().collect()
}

fn only_char(text: &str) -> Option<char> {
    let mut chars = text.chars();
    chars.next().filter(|_| chars.next().is_none())
}

/// The other single character that `c` fully decomposes to.
fn equivalent(c: char) -> Option<char> {
    let mut parts = std::iter::once(c).nfkd();
    parts.next().filter(|part| parts.next().is_none() && *part != c)
}

/// Writes `rules`, which are sorted by source.
pub(crate) fn write_rules(writer: &mut Writer, rules: &[Rule]) {
    let description = Description::of(rules);
    // Where the prediction explodes, single characters alone still describe the rules.
    let (description, predicted) = match description.predict() {
        Some(predicted) => (description, predicted),
        None => {
            let description = Description { composites: BTreeSet::new(), ..description };
            let predicted = description.predict().unwrap_or_default();
            (description, predicted)
        }
    };
    write_set(writer, description.derived.iter().copied());
    write_set(writer, description.folded.keys().copied());
    write_set(writer, description.single.keys().copied());
    description.folded.values().chain(description.single.values()).for_each(|target| writer.text(target));
    write_set(writer, description.composites.iter().copied());
    let explicit: Vec<&Rule> =
        rules.iter().filter(|rule| predicted.get(&rule.source) != Some(&rule.target)).collect();
    write_sources(writer, explicit.iter().map(|rule| &*rule.source));
    explicit.iter().for_each(|rule| writer.text(&rule.target));
    let absent = |source: &&str| rules.binary_search_by(|rule| (*rule.source).cmp(source)).is_err();
    let removed: Vec<&str> = predicted.keys().map(|source| &**source).filter(absent).collect();
    write_sources(writer, removed.into_iter());
    if !rules.is_empty() {
        writer.0.extend_from_slice(&digest(rules.iter().map(|rule| (&*rule.source, &*rule.target))));
    }
}

/// Reads what [`write_rules`] wrote; the rules are sorted by source.
pub(crate) fn read_rules(reader: &mut Reader) -> Result<Vec<Rule>, CompactError> {
    let derived = read_set(reader, "derived rules")?;
    let folded = read_set(reader, "folded rules")?;
    let single = read_set(reader, "single rules")?;
    let mut with_targets = |set: BTreeSet<char>| {
        set.into_iter()
            .map(|c| Ok((c, Box::from(reader.text("rule target", MAX_TEXT_BYTES)?))))
            .collect::<Result<BTreeMap<char, Box<str>>, CompactError>>()
    };
    let (folded, single) = (with_targets(folded)?, with_targets(single)?);
    let composites = read_set(reader, "composites")?;
    let offset = reader.at;
    let too_many = |got| CompactError::OutOfRange { field: "rules", offset, limit: MAX_RULES as u64, got };
    let predicted = Description { derived, folded, single, composites }.predict();
    let mut rules = predicted.ok_or_else(|| too_many(MAX_RULES as u64 + 1))?;
    for source in read_sources(reader, "explicit rules")? {
        let target = reader.text("rule target", MAX_TEXT_BYTES)?;
        rules.insert(source, target.into());
    }
    for source in read_sources(reader, "removed rules")? {
        rules.remove(&source);
    }
    if rules.len() > MAX_RULES {
        return Err(too_many(rules.len() as u64));
    }
    let saved = if rules.is_empty() { None } else { Some(reader.bytes("rules digest", DIGEST_BYTES)?) };
    if saved.is_some_and(|saved| saved != digest(rules.iter().map(|(source, target)| (&**source, &**target))))
    {
        return Err(CompactError::RulesDigest);
    }
    Ok(rules.into_iter().map(|(source, target)| Rule { source, target }).collect())
}

fn digest<'a>(rules: impl Iterator<Item = (&'a str, &'a str)>) -> [u8; DIGEST_BYTES] {
    let mut hash = Sha256::new();
    for text in rules.flat_map(|(source, target)| [source, target]) {
        hash.update((text.len() as u32).to_le_bytes());
        hash.update(text);
    }
    let full: [u8; 32] = hash.finalize().into();
    *full.first_chunk().expect("a SHA-256 has more than eight bytes")
}

fn write_set(writer: &mut Writer, set: impl Iterator<Item = char>) {
    let mut runs: Vec<(u32, u32)> = Vec::new();
    for c in set.map(u32::from) {
        match runs.last_mut() {
            Some((start, length)) if *start + *length == c => *length += 1,
            _ => runs.push((c, 1)),
        }
    }
    writer.number(runs.len() as u64);
    let mut after = 0;
    for (start, length) in runs {
        writer.number(u64::from(start - after));
        writer.number(u64::from(length - 1));
        after = start + length;
    }
}

fn read_set(reader: &mut Reader, field: &'static str) -> Result<BTreeSet<char>, CompactError> {
    let mut set = BTreeSet::new();
    let mut after = 0u64;
    for _ in 0..reader.number(field, LAST_CHARACTER)? {
        let offset = reader.at;
        let start = after + reader.number(field, LAST_CHARACTER)?;
        after = start + reader.number(field, LAST_CHARACTER)? + 1;
        let out_of_range = |got| CompactError::OutOfRange { field, offset, limit: LAST_CHARACTER, got };
        if after > LAST_CHARACTER + 1 {
            return Err(out_of_range(after - 1));
        }
        for code in start..after {
            set.insert(char::from_u32(code as u32).ok_or_else(|| out_of_range(code))?);
        }
    }
    Ok(set)
}

fn write_sources<'a>(writer: &mut Writer, sources: impl ExactSizeIterator<Item = &'a str>) {
    writer.number(sources.len() as u64);
    let mut before = "";
    for source in sources {
        let shared = before.bytes().zip(source.bytes()).take_while(|(a, b)| a == b).count();
        let shared = (0..=shared).rev().find(|at| source.is_char_boundary(*at)).unwrap_or(0);
        writer.number(shared as u64);
        writer.text(&source[shared..]);
        before = source;
    }
}

fn read_sources(reader: &mut Reader, field: &'static str) -> Result<Vec<Box<str>>, CompactError> {
    let mut sources: Vec<Box<str>> = Vec::new();
    let mut bytes = 0;
    for _ in 0..reader.number(field, MAX_RULES as u64)? {
        let offset = reader.at;
        let before = sources.last().map_or("", |source| source);
        let shared = reader.number(field, before.len() as u64)? as usize;
        let start = before.get(..shared).ok_or(CompactError::NotUtf8 { field, offset })?;
        let source = format!("{start}{}", reader.text(field, MAX_TEXT_BYTES)?);
        bytes += source.len();
        // An empty source would match everywhere; sharing must not multiply the input.
        if source.is_empty() || bytes > MAX_RULE_BYTES {
            let limit = MAX_RULE_BYTES as u64;
            return Err(CompactError::OutOfRange { field, offset, limit, got: bytes as u64 });
        }
        sources.push(source.into());
    }
    Ok(sources)
}
