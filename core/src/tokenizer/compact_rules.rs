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

use std::collections::{BTreeMap, BTreeSet, HashSet};

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

    /// The rules that follow, sorted by source, or `None` if they are more than any tokenizer may have.
    fn predict(&self) -> Option<Vec<Rule>> {
        let explicit = || self.folded.iter().chain(&self.single);
        if self.derived.len() + explicit().count() > MAX_RULES {
            return None;
        }
        let derived = self.derived.iter().map(|c| Rule::new(c.to_string(), nfkc(c.encode_utf8(&mut [0; 4]))));
        let other = explicit().map(|(c, target)| Rule::new(c.to_string(), target.clone()));
        let mut rules: Vec<Rule> = derived.chain(other).collect();
        sort_keeping_last(&mut rules);
        let mut variants: BTreeMap<char, Vec<char>> = BTreeMap::new();
        for c in self.derived.iter().chain(self.folded.keys()) {
            if let Some(same) = equivalent(*c) {
                variants.entry(same).or_insert_with(|| vec![same]).push(*c);
            }
        }
        let mut bytes = rules.iter().map(Rule::bytes).sum::<usize>();
        let singles = rules.len();
        for composite in &self.composites {
            let name = composite.to_string();
            // A composite that has a rule itself, as in case folding, hands its target on.
            let known = rules[..singles].binary_search_by(|rule| (*rule.source).cmp(&name));
            let target = known.map_or_else(|_| name.as_str().into(), |rule| rules[rule].target.clone());
            let sources = spellings(*composite, &variants, MAX_RULES - rules.len())?;
            for source in sources.into_iter().filter(|source| *source != name) {
                rules.push(Rule::new(source, target.clone()));
                bytes += rules.last().map_or(0, Rule::bytes);
            }
            if bytes > MAX_RULE_BYTES {
                return None;
            }
        }
        sort_keeping_last(&mut rules);
        Some(rules)
    }
}

/// Sorts by source; of rules with one source the last stays.
fn sort_keeping_last(rules: &mut Vec<Rule>) {
    rules.reverse();
    rules.sort_by(|a, b| a.source.cmp(&b.source));
    rules.dedup_by(|later, first| later.source == first.source);
}

/// Every sequence whose full decomposition is that of `composite`, at most `limit` of them.
fn spellings(composite: char, variants: &BTreeMap<char, Vec<char>>, limit: usize) -> Option<Vec<String>> {
    let mut spellings = vec![String::new()];
    for part in std::iter::once(composite).nfkd() {
        let alone = [part];
        let choices = variants.get(&part).map_or(&alone[..], Vec::as_slice);
        if spellings.len().saturating_mul(choices.len()) > limit {
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
    let explicit = missing(rules, &predicted, |rule, predicted| rule == predicted);
    write_sources(writer, &explicit);
    explicit.iter().for_each(|rule| writer.text(&rule.target));
    let removed = missing(&predicted, rules, |predicted, rule| predicted.source == rule.source);
    write_sources(writer, &removed);
    if !rules.is_empty() {
        writer.0.extend_from_slice(&digest(rules));
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
    let too_many =
        |got| CompactError::OutOfRange { field: "rules", offset, limit: MAX_RULES as u64, got: got as u64 };
    let predicted = Description { derived, folded, single, composites }.predict();
    let mut rules = predicted.ok_or_else(|| too_many(MAX_RULES + 1))?;
    for source in read_sources(reader, "explicit rules")? {
        rules.push(Rule::new(source, reader.text("rule target", MAX_TEXT_BYTES)?));
    }
    sort_keeping_last(&mut rules);
    let removed: HashSet<Box<str>> = read_sources(reader, "removed rules")?.into_iter().collect();
    rules.retain(|rule| !removed.contains(&rule.source));
    if rules.len() > MAX_RULES {
        return Err(too_many(rules.len()));
    }
    if !rules.is_empty() && reader.bytes("rules digest", DIGEST_BYTES)? != digest(&rules) {
        return Err(CompactError::RulesDigest);
    }
    Ok(rules)
}

/// The rules of `from` that have no match in `other`; both sorted by source.
fn missing<'a>(from: &'a [Rule], other: &[Rule], same: impl Fn(&Rule, &Rule) -> bool) -> Vec<&'a Rule> {
    let mut other = other.iter().peekable();
    let is_missing = |rule: &&Rule| {
        while other.next_if(|other| other.source < rule.source).is_some() {}
        !other.peek().is_some_and(|other| same(rule, other))
    };
    from.iter().filter(is_missing).collect()
}

fn digest(rules: &[Rule]) -> [u8; DIGEST_BYTES] {
    let mut hash = Sha256::new();
    for text in rules.iter().flat_map(|rule| [&rule.source, &rule.target]) {
        hash.update((text.len() as u32).to_le_bytes());
        hash.update(&**text);
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

fn write_sources(writer: &mut Writer, rules: &[&Rule]) {
    writer.number(rules.len() as u64);
    let mut before = "";
    for source in rules.iter().map(|rule| &*rule.source) {
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
