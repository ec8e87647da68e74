//! Text preparation before merging: character rules, whitespace, and the visible space symbol.
//!
//! The steps and their order are those of SentencePiece: at each position the longest user-defined symbol
//! is copied, else the longest rule is applied, else one character is copied. Output is always UTF-8. Not a
//! Unicode normalizer: the rules decide, whatever they are.

use std::collections::HashMap;

use super::SPACE_SYMBOL;
use super::trie::PrefixTrie;

/// One rewriting rule of a normalizer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rule {
    /// Text to look for; never empty.
    pub source: Box<str>,
    /// Text to write instead.
    pub target: Box<str>,
}

impl Rule {
    pub fn new(source: impl Into<Box<str>>, target: impl Into<Box<str>>) -> Rule {
        Rule { source: source.into(), target: target.into() }
    }

    /// Bytes of text in the rule.
    pub fn bytes(&self) -> usize {
        self.source.len() + self.target.len()
    }
}

/// The rules of a normalizer, ready for longest-prefix search.
#[derive(Clone, Debug)]
pub(crate) struct RuleMap {
    sources: PrefixTrie,
    targets: Vec<Box<str>>,
}

impl RuleMap {
    /// A map of rules that are sorted by source, with distinct sources.
    pub fn new(rules: Vec<Rule>) -> RuleMap {
        let mut numbers: HashMap<Box<str>, u32> = HashMap::new();
        let mut targets = Vec::new();
        let mut keys = Vec::with_capacity(rules.len());
        for Rule { source, target } in rules {
            let number = *numbers.entry(target).or_insert_with_key(|target| {
                targets.push(target.clone());
                targets.len() as u32 - 1
            });
            keys.push((source.into_boxed_bytes(), number));
        }
        RuleMap { sources: PrefixTrie::build(&keys), targets }
    }

    fn longest(&self, text: &str) -> Option<(usize, &str)> {
        let (bytes, number) = self.sources.longest_prefix(text.as_bytes())?;
        Some((bytes, &self.targets[number as usize]))
    }

    /// All rules, sorted by source.
    pub fn rules(&self) -> Vec<Rule> {
        let text = |bytes| String::from_utf8(bytes).expect("sources were built from strings");
        let rule = |(source, target): (Vec<u8>, u32)| Rule {
            source: text(source).into(),
            target: self.targets[target as usize].clone(),
        };
        self.sources.entries().into_iter().map(rule).collect()
    }
}

/// Whitespace treatment of a tokenizer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NormalizerSettings {
    /// Put a space before the text (after it with `whitespace_as_suffix`), so that the first word looks
    /// like any other.
    pub add_dummy_prefix: bool,
    /// Drop spaces at both ends and merge runs of them.
    pub remove_extra_whitespaces: bool,
    /// Write spaces as U+2581.
    pub escape_whitespaces: bool,
    /// Words carry their space at the end.
    pub whitespace_as_suffix: bool,
}

impl NormalizerSettings {
    /// The character that stands for a space in normalized text.
    pub(crate) fn space(self) -> char {
        if self.escape_whitespaces { SPACE_SYMBOL } else { ' ' }
    }
}

/// Rules and whitespace settings.
#[derive(Clone, Debug)]
pub(crate) struct Normalizer {
    pub settings: NormalizerSettings,
    pub rules: RuleMap,
}

/// For each byte of normalized text, the offset in the raw text that it came from.
pub(crate) type Origins = Vec<usize>;

impl Normalizer {
    /// The normalized form of `text`, in which `symbols` are kept as they are.
    pub fn normalize(&self, text: &str, symbols: &PrefixTrie, origins: Option<&mut Origins>) -> String {
        let settings = self.settings;
        let mut start = 0;
        if settings.remove_extra_whitespaces {
            while start < text.len() {
                let (bytes, written) = self.step(&text[start..], symbols);
                if written != " " {
                    break;
                }
                start += bytes;
            }
        }
        let mut output = Output { text: String::new(), origins, space: settings.space() };
        // A text of nothing but spaces becomes empty, without a dummy prefix.
        if start == text.len() {
            return output.text;
        }
        output.text.reserve(text.len() + text.len() / 2);
        if settings.add_dummy_prefix && !settings.whitespace_as_suffix {
            output.push(" ", start);
        }
        let mut at = start;
        let mut after_space = settings.remove_extra_whitespaces;
        while at < text.len() {
            let (bytes, mut written) = self.step(&text[at..], symbols);
            if after_space {
                written = written.trim_start_matches(' ');
            }
            if !written.is_empty() {
                output.push(written, at);
                after_space = settings.remove_extra_whitespaces && written.ends_with(' ');
            }
            at += bytes;
        }
        if settings.remove_extra_whitespaces {
            output.trim_end();
        }
        if settings.add_dummy_prefix && settings.whitespace_as_suffix {
            output.push(" ", text.len());
        }
        output.text
    }

    /// How many bytes of `rest` to take next, and what to write for them.
    fn step<'a>(&'a self, rest: &'a str, symbols: &PrefixTrie) -> (usize, &'a str) {
        if let Some((bytes, _)) = symbols.longest_prefix(rest.as_bytes()) {
            return (bytes, &rest[..bytes]);
        }
        self.rules.longest(rest).unwrap_or_else(|| {
            let bytes = rest.chars().next().map_or(0, char::len_utf8);
            (bytes, &rest[..bytes])
        })
    }
}

struct Output<'a> {
    text: String,
    origins: Option<&'a mut Origins>,
    space: char,
}

impl Output<'_> {
    fn push(&mut self, written: &str, origin: usize) {
        self.text.extend(written.chars().map(|c| if c == ' ' { self.space } else { c }));
        if let Some(origins) = &mut self.origins {
            origins.resize(self.text.len(), origin);
        }
    }

    fn trim_end(&mut self) {
        let kept = self.text.trim_end_matches(self.space).len();
        self.text.truncate(kept);
        if let Some(origins) = &mut self.origins {
            origins.truncate(kept);
        }
    }
}
