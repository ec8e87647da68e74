//! Trains a byte-pair vocabulary that loses nothing.
//!
//! The result has the layout of the challenge's tokenizers (pad 0, BOS 1, EOS 2, unknown 3, bytes 4 to 259,
//! merged pieces by rank, single characters) and no normalizer at all, so decoding gives back any text,
//! U+2581 included: spaces are kept as plain spaces, at the front of words, because the visible space symbol
//! cannot be told from a space in the text. Pieces stay inside one word: an optional space and then
//! letters, or one digit, or other signs; a line break or tab stands alone.
//!
//! Counting is incremental: a merge touches only the words that contain its pair (Sennrich et al. 2016).
//! Ties go to the smaller pair of symbol numbers, so equal texts give equal vocabularies.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap, HashSet};

use super::normalizer::{Normalizer, NormalizerSettings, RuleMap};
use super::sentencepiece::DEFAULT_UNK_SURFACE;
use super::{
    MAX_PIECES, Markers, Parts, Piece, PieceKind, SPACE_SYMBOL, Tokenizer, TrainError, piece_of_byte,
};

const MARKERS: [(&str, PieceKind); 4] = [
    ("<pad>", PieceKind::Control),
    ("<s>", PieceKind::Control),
    ("</s>", PieceKind::Control),
    ("<unk>", PieceKind::Unknown),
];
const FIXED_PIECES: usize = MARKERS.len() + 256;
/// Longest merged piece, in characters.
const MAX_PIECE_CHARS: usize = 16;
/// Longest word; longer runs, as in scripts without spaces, are cut, which keeps each merge's work small.
const MAX_WORD_CHARS: usize = 64;
/// Share of the text that gets single-character pieces, in parts per 10,000; the rest is spelled in bytes.
const CHARACTER_COVERAGE: u64 = 9995;

/// A tokenizer with exactly `vocab` pieces for text like `texts`.
///
/// # Errors
/// When `vocab` has no room for markers, bytes and a space, or the text has too few different words.
pub fn train_bpe<'a>(
    texts: impl IntoIterator<Item = &'a str>,
    vocab: usize,
) -> Result<Tokenizer, TrainError> {
    if vocab <= FIXED_PIECES || vocab > MAX_PIECES {
        return Err(TrainError::VocabSize { smallest: FIXED_PIECES + 1, got: vocab });
    }
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for text in texts {
        for word in words(text) {
            *counts.entry(word).or_default() += 1;
        }
    }
    let slots = vocab - FIXED_PIECES;
    let characters = alphabet(&counts, slots);
    let merges = slots - characters.len();
    let mut trainer = Trainer::new(&characters, &counts);
    while trainer.pieces.len() < merges && trainer.merge_best() {}
    if trainer.pieces.len() < merges {
        let reachable = vocab - merges + trainer.pieces.len();
        return Err(TrainError::TooLittleText { wanted: vocab, reachable });
    }
    Ok(Tokenizer::assemble(parts(trainer.pieces, &characters))?)
}

fn parts(merged: Vec<String>, characters: &[char]) -> Parts {
    let fixed = MARKERS.iter().map(|(text, kind)| ((*text).to_owned(), *kind));
    let bytes = (0..=255).map(|byte| (piece_of_byte(byte), PieceKind::Byte));
    let singles = characters.iter().map(char::to_string);
    let normal = merged.into_iter().chain(singles).map(|text| (text, PieceKind::Normal));
    let mut pieces: Vec<Piece> = fixed
        .chain(bytes)
        .chain(normal)
        .map(|(text, kind)| Piece { text: text.into(), kind, rank: 0 })
        .collect();
    for (rank, piece) in (0u32..).zip(&mut pieces[FIXED_PIECES..]) {
        piece.rank = rank;
    }
    let settings = NormalizerSettings {
        add_dummy_prefix: false,
        remove_extra_whitespaces: false,
        escape_whitespaces: false,
        whitespace_as_suffix: false,
    };
    Parts {
        pieces,
        normalizer: Normalizer { settings, rules: RuleMap::new(Vec::new()) },
        byte_fallback: true,
        markers: Markers { pad: Some(0), bos: Some(1), eos: Some(2) },
        unk_surface: DEFAULT_UNK_SURFACE.to_owned(),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Space,
    Letters,
    Signs,
    /// Digits, line breaks and tabs.
    Alone,
}

fn class(c: char) -> Class {
    match c {
        ' ' => Class::Space,
        c if c.is_numeric() || c.is_whitespace() || c.is_control() => Class::Alone,
        c if c.is_alphabetic() => Class::Letters,
        _ => Class::Signs,
    }
}

/// The stretches of `text` inside which pieces may form; together they are the text.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let first = rest.chars().next()?;
        let space = usize::from(first == ' ');
        let (word, after) = rest.split_at(space + run_bytes(&rest[space..]));
        rest = after;
        Some(word)
    })
}

/// Length of the run of one class that `text` starts with; nothing for a space.
fn run_bytes(text: &str) -> usize {
    let Some(first) = text.chars().next() else { return 0 };
    match class(first) {
        Class::Space => 0,
        Class::Alone => first.len_utf8(),
        run => {
            let inside = text.char_indices().take(MAX_WORD_CHARS).take_while(|(_, c)| class(*c) == run);
            inside.last().map_or(0, |(at, c)| at + c.len_utf8())
        }
    }
}

/// A space and the most frequent characters, until they cover the text or fill half the slots.
fn alphabet(counts: &BTreeMap<&str, u64>, slots: usize) -> Vec<char> {
    let mut frequency: BTreeMap<char, u64> = BTreeMap::new();
    for (word, count) in counts {
        for c in word.chars() {
            *frequency.entry(c).or_default() += count;
        }
    }
    let total: u64 = frequency.values().sum();
    frequency.remove(&' ');
    // Decoding would turn the space symbol into a space, and no piece may hold a NUL: both stay bytes.
    frequency.remove(&SPACE_SYMBOL);
    frequency.remove(&'\0');
    let mut ranked: Vec<(char, u64)> = frequency.into_iter().collect();
    ranked.sort_by_key(|(c, count)| (Reverse(*count), *c));
    let mut uncovered = ranked.iter().map(|(_, count)| count).sum::<u64>();
    let mut characters = vec![' '];
    for (c, count) in ranked {
        if characters.len() * 2 >= slots || uncovered * 10_000 <= total * (10_000 - CHARACTER_COVERAGE) {
            break;
        }
        characters.push(c);
        uncovered -= count;
    }
    characters
}

type Pair = (u32, u32);

/// A character without a piece; never part of a pair.
const NO_SYMBOL: u32 = u32::MAX;

struct Word {
    symbols: Vec<u32>,
    count: i64,
}

#[derive(Default)]
struct Occurrences {
    count: i64,
    /// Indices of words that hold or once held the pair.
    words: Vec<u32>,
}

struct Trainer {
    /// Text of every symbol: characters, then merges.
    symbols: Vec<String>,
    numbers: HashMap<String, u32>,
    /// Text of merged pieces in order.
    pieces: Vec<String>,
    words: Vec<Word>,
    pairs: HashMap<Pair, Occurrences>,
    /// May hold outdated counts; checked when popped.
    best: BinaryHeap<(i64, Reverse<Pair>)>,
}

impl Trainer {
    fn new(characters: &[char], counts: &BTreeMap<&str, u64>) -> Trainer {
        let symbols: Vec<String> = characters.iter().map(char::to_string).collect();
        let numbers: HashMap<String, u32> = symbols.iter().cloned().zip(0u32..).collect();
        let by_char: HashMap<char, u32> = characters.iter().copied().zip(0u32..).collect();
        let symbol = |c| by_char.get(&c).copied().unwrap_or(NO_SYMBOL);
        let words: Vec<Word> = counts
            .iter()
            .map(|(word, count)| Word { symbols: word.chars().map(symbol).collect(), count: *count as i64 })
            .collect();
        let mut trainer = Trainer {
            symbols,
            numbers,
            pieces: Vec::new(),
            words,
            pairs: HashMap::new(),
            best: BinaryHeap::new(),
        };
        for index in 0..trainer.words.len() {
            trainer.count_pairs(index, 1);
        }
        trainer.best = trainer.pairs.iter().map(|(pair, found)| (found.count, Reverse(*pair))).collect();
        trainer
    }

    /// Adds (`sign` 1) or removes (-1) the pairs of one word.
    fn count_pairs(&mut self, index: usize, sign: i64) {
        let word = &self.words[index];
        for pair in word.symbols.windows(2) {
            if pair.contains(&NO_SYMBOL) {
                continue;
            }
            let found = self.pairs.entry((pair[0], pair[1])).or_default();
            found.count += sign * word.count;
            if sign > 0 && found.words.last() != Some(&(index as u32)) {
                found.words.push(index as u32);
            }
        }
    }

    /// Merges the most frequent pair; false when there is none left.
    fn merge_best(&mut self) -> bool {
        while let Some((count, Reverse(pair))) = self.best.pop() {
            let current = self.pairs.get(&pair).map_or(0, |found| found.count);
            if current != count {
                // The right count was pushed when it last grew, or is pushed here when it shrank.
                if current > 0 && current < count {
                    self.best.push((current, Reverse(pair)));
                }
                continue;
            }
            let text = format!("{}{}", self.symbols[pair.0 as usize], self.symbols[pair.1 as usize]);
            if count <= 0 || text.chars().count() > MAX_PIECE_CHARS {
                continue;
            }
            self.apply(pair, text);
            return true;
        }
        false
    }

    fn apply(&mut self, pair: Pair, text: String) {
        // Another pair may have spelled the same text before; then this merge adds no piece.
        let number = match self.numbers.get(&text) {
            Some(number) => *number,
            None => {
                let number = self.symbols.len() as u32;
                self.symbols.push(text.clone());
                self.pieces.push(text.clone());
                self.numbers.insert(text, number);
                number
            }
        };
        let mut touched = self.pairs.remove(&pair).unwrap_or_default().words;
        touched.sort_unstable();
        touched.dedup();
        let mut grown = HashSet::new();
        for index in touched {
            let index = index as usize;
            let merged = merge_in(&self.words[index].symbols, pair, number);
            if merged.len() == self.words[index].symbols.len() {
                continue;
            }
            self.count_pairs(index, -1);
            self.words[index].symbols = merged;
            self.count_pairs(index, 1);
            let near = self.words[index].symbols.windows(2).map(|near| (near[0], near[1]));
            grown.extend(near.filter(|near| near.0 == number || near.1 == number));
        }
        self.pairs.remove(&pair);
        let counted =
            grown.into_iter().filter_map(|near| Some((self.pairs.get(&near)?.count, Reverse(near))));
        self.best.extend(counted);
    }
}

fn merge_in(symbols: &[u32], pair: Pair, number: u32) -> Vec<u32> {
    let mut merged = Vec::with_capacity(symbols.len());
    let mut at = 0;
    while at < symbols.len() {
        if symbols[at..].starts_with(&[pair.0, pair.1]) {
            merged.push(number);
            at += 2;
        } else {
            merged.push(symbols[at]);
            at += 1;
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str =
        "the cat sat on the mat, the cat ate 42 rats.\nThe hat\tis that of the rat; 2 + 2 = 4!\n";

    #[test]
    fn words_are_the_text_and_keep_digits_and_lines_apart() {
        let text = "ab  cd,\n\n12 3\u{2581}x";
        let cut: Vec<&str> = words(text).collect();
        assert_eq!(cut, ["ab", " ", " cd", ",", "\n", "\n", "1", "2", " 3", "\u{2581}", "x"]);
        assert_eq!(cut.concat(), text);
    }

    #[test]
    fn the_layout_is_the_challenges() {
        let tokenizer = train_bpe([TEXT], 300).expect("enough text for 300 pieces");
        assert_eq!(tokenizer.len(), 300);
        assert_eq!((tokenizer.pad(), tokenizer.bos(), tokenizer.eos()), (Some(0), Some(1), Some(2)));
        assert_eq!(tokenizer.unk(), 3);
        assert_eq!(&*tokenizer.pieces()[4].text, "<0x00>");
        assert_eq!(&*tokenizer.pieces()[259].text, "<0xFF>");
        assert!(tokenizer.pieces().iter().any(|piece| &*piece.text == " the"));
    }

    #[test]
    fn training_twice_gives_the_same_tokenizer() {
        let first = train_bpe(TEXT.lines(), 290).expect("enough text");
        let second = train_bpe(TEXT.lines(), 290).expect("enough text");
        assert_eq!(first.identity(), second.identity());
    }

    #[test]
    fn any_text_survives_and_every_byte_is_charged() {
        let tokenizer = train_bpe([TEXT], 300).expect("enough text");
        for text in ["", " ", "  the \u{2581}cat\u{2581}", "\0\r\n", "\u{65e5}\u{672c} the", "the the"] {
            let ids = tokenizer.encode(text);
            assert_eq!(tokenizer.decode(&ids).as_deref(), Ok(text));
            let accounting = tokenizer.account(text, &ids).expect("nothing is lost");
            assert_eq!(accounting.charged_bytes, text.len() as u64);
            assert_eq!(accounting.raw_bytes, text.len() as u64);
        }
    }

    #[test]
    fn impossible_sizes_are_refused() {
        assert!(matches!(train_bpe([TEXT], 260), Err(TrainError::VocabSize { got: 260, .. })));
        assert!(matches!(train_bpe([TEXT], 5000), Err(TrainError::TooLittleText { wanted: 5000, .. })));
        assert!(matches!(train_bpe(["", ""], 270), Err(TrainError::TooLittleText { reachable: 261, .. })));
    }
}
