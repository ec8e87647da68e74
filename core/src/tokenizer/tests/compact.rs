//! The compact form: round trips, canonical bytes, malformed input.

use super::super::{CompactError, MAX_FILE_BYTES, MAX_PIECES, Tokenizer, train_bpe};
use super::{MODELS, model};

#[test]
fn every_model_survives_unchanged() {
    let trained = train_bpe(["the cat and the hat and that rat, ate 9 oats"], 280).expect("enough text");
    for tokenizer in MODELS.iter().map(|(name, _)| model(name)).chain([trained]) {
        let compact = tokenizer.to_compact();
        let read = Tokenizer::from_compact(&compact).expect("a compact form reads back");
        assert_eq!(read.to_compact(), compact);
        assert_eq!(read.identity(), tokenizer.identity());
        assert_eq!(read.pieces(), tokenizer.pieces());
        assert_eq!(read.byte_table(), tokenizer.byte_table());
    }
}

#[test]
fn rules_cost_little_where_unicode_predicts_them() {
    let rules = model("own_rules").normalizer.rules.rules();
    let plain: usize = rules.iter().map(|rule| rule.bytes()).sum();
    let mut without = model("own_rules");
    without.normalizer.rules = super::super::normalizer::RuleMap::new(Vec::new());
    let cost = model("own_rules").to_compact().len() - without.to_compact().len();
    assert!(rules.len() > 700 && cost < plain / 5, "{} rules of {plain} bytes cost {cost}", rules.len());
}

#[test]
fn every_prefix_and_every_tail_is_refused() {
    let mut compact = model("own_rules").to_compact();
    for end in 0..compact.len() {
        assert!(Tokenizer::from_compact(&compact[..end]).is_err(), "a prefix of {end} bytes was accepted");
    }
    compact.push(0);
    let offset = compact.len() - 1;
    assert!(
        matches!(Tokenizer::from_compact(&compact), Err(CompactError::NotCanonical { offset: at }) if at == offset)
    );
}

#[test]
fn a_changed_byte_is_refused_or_gives_another_canonical_tokenizer() {
    for name in ["own_rules", "unused_ties"] {
        let original = model(name);
        let compact = original.to_compact();
        for at in 0..compact.len() {
            let mut changed = compact.clone();
            changed[at] ^= 1 << (at % 8);
            if let Ok(tokenizer) = Tokenizer::from_compact(&changed) {
                assert_eq!(tokenizer.to_compact(), changed);
                assert_ne!(tokenizer.identity(), original.identity(), "{name}: byte {at} has no meaning");
            }
        }
    }
}

#[test]
fn claims_beyond_the_data_are_refused_before_allocating() {
    // version, flags, no surface, no markers, then the piece count and one run of normal pieces.
    let head = [1, 0, 0, 0, 0, 0];
    let with = |tail: &[u8]| Tokenizer::from_compact(&[&head[..], tail].concat());
    let million = [0x80, 0x80, 0x40];
    assert!(matches!(
        with(&[&million[..], &[1], &million[..]].concat()),
        Err(CompactError::Truncated { field: "pieces", .. })
    ));
    let over = [0x81, 0x80, 0x40];
    let limit = MAX_PIECES as u64;
    assert!(matches!(
        with(&over),
        Err(CompactError::OutOfRange { field: "piece count", limit: l, .. }) if l == limit
    ));
    assert!(matches!(with(&[0xff; 5]), Err(CompactError::OutOfRange { field: "piece count", .. })));
    assert!(matches!(with(&[1, 7, 1]), Err(CompactError::OutOfRange { field: "kind", got: 7, .. })));
    assert!(matches!(with(&[1, 1, 2]), Err(CompactError::OutOfRange { field: "kind run", .. })));
    assert!(matches!(
        Tokenizer::from_compact(&vec![1; MAX_FILE_BYTES + 1]),
        Err(CompactError::TooLarge { .. })
    ));
    assert!(matches!(Tokenizer::from_compact(&[2, 0]), Err(CompactError::Version { got: 2, .. })));
}

#[test]
fn rule_bombs_are_refused() {
    // One unknown piece `u`, then rules: `derived` claims every character from U+00A0 to U+D7FF.
    let head = [1, 0, 0, 0, 0, 0, 1, 2, 1, 1, b'u'];
    let with = |tail: &[u8]| Tokenizer::from_compact(&[&head[..], tail].concat());
    assert!(with(&[0; 6]).is_ok(), "no rules at all");
    let wide = [1, 0xa0, 0x01, 0xdf, 0xae, 0x03];
    assert!(with(&[&wide[..], &[0; 5]].concat()).is_err());
    // The same characters as composites too: sequences multiply, but stay below the limits or are refused.
    assert!(with(&[&wide[..], &[0, 0], &wide[..], &[0, 0]].concat()).is_err());
    let surrogates = [1, 0x80, 0xb0, 0x03, 0];
    assert!(matches!(with(&surrogates), Err(CompactError::OutOfRange { field: "derived rules", .. })));
    let beyond = [1, 0xff, 0xff, 0x43, 1];
    assert!(matches!(with(&beyond), Err(CompactError::OutOfRange { field: "derived rules", .. })));
    // A sound set with a wrong digest.
    let fraction = [1, 0xbd, 0x01, 0, 0, 0, 0, 0, 0];
    assert!(matches!(with(&[&fraction[..], &[0; 8]].concat()), Err(CompactError::RulesDigest)));
}
