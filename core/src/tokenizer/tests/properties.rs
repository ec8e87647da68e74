//! Properties over arbitrary text.

use std::sync::LazyLock;

use proptest::prelude::*;

use super::super::{PieceKind, SPACE_SYMBOL, Tokenizer, train_bpe};
use super::{MODELS, model};

static TOKENIZERS: LazyLock<Vec<(&str, Tokenizer)>> = LazyLock::new(|| {
    let trained = train_bpe(["the cat and the hat and that rat, ate 9 oats"], 280).expect("enough text");
    MODELS.map(|(name, _)| (name, model(name))).into_iter().chain([("trained", trained)]).collect()
});

/// Text with more of what matters here than arbitrary characters have.
fn text() -> impl Strategy<Value = String> {
    let odd = prop::sample::select(vec![
        " ",
        "  ",
        "\u{2581}",
        "\t",
        "\n",
        "\0",
        "\u{200b}",
        "e\u{301}",
        "\u{ff21}\u{300}",
        "<sep>",
        "<s>",
        "<se",
        "foo bar",
        "sh",
        "the",
        "a",
        "\u{e001}",
        "\u{fffd}",
        "\u{ac00}",
        "\u{1f600}",
        "12",
        "colour",
    ]);
    let part = prop_oneof![2 => odd.prop_map(String::from), 1 => any::<char>().prop_map(String::from)];
    prop::collection::vec(part, 0..24).prop_map(|parts| parts.concat())
}

/// What decoding the ids of a text with normalized form `normalized` must give when no id is unknown.
fn plain(tokenizer: &Tokenizer, normalized: &str) -> String {
    let settings = tokenizer.normalizer_settings();
    if !settings.escape_whitespaces {
        return normalized.to_owned();
    }
    let text = normalized.replace(SPACE_SYMBOL, " ");
    if settings.remove_extra_whitespaces {
        text.trim_start_matches(' ').to_owned()
    } else if settings.add_dummy_prefix {
        text.strip_prefix(' ').unwrap_or(&text).to_owned()
    } else {
        text
    }
}

proptest! {
    #[test]
    fn spans_cover_the_normalized_text(text in text()) {
        for (name, tokenizer) in TOKENIZERS.iter() {
            let encoding = tokenizer.encode_with_spans(&text);
            prop_assert_eq!(encoding.ids.len(), encoding.ends.len(), "{}", name);
            prop_assert!(encoding.ends.windows(2).all(|pair| pair[0] < pair[1]), "{}", name);
            prop_assert_eq!(encoding.ends.last().copied().unwrap_or(0), encoding.normalized.len(), "{}", name);
            for (index, id) in encoding.ids.iter().enumerate() {
                let piece = tokenizer.piece(*id).expect("ids are below the vocabulary");
                prop_assert!(piece.kind != PieceKind::Control, "{}", name);
                if matches!(piece.kind, PieceKind::Normal | PieceKind::UserDefined) {
                    prop_assert_eq!(&*piece.text, &encoding.normalized[encoding.span(index)], "{}", name);
                }
            }
        }
    }

    #[test]
    fn byte_fallback_decodes_to_the_normalized_text(text in text()) {
        for (name, tokenizer) in TOKENIZERS.iter().filter(|(_, tokenizer)| tokenizer.byte_fallback()) {
            let ids = tokenizer.encode(&text);
            let decoded = tokenizer.decode(&ids).expect("ids are below the vocabulary");
            prop_assert_eq!(&decoded, &plain(tokenizer, &tokenizer.normalize(&text)), "{}", name);
            prop_assert_eq!(tokenizer.decode_bytes(&ids), Ok(decoded.into_bytes()), "{}", name);
        }
    }

    #[test]
    fn byte_fallback_charges_every_byte(text in text()) {
        let honest = ["dummy_bytes", "own_rules", "user_symbols", "trained"];
        for (name, tokenizer) in TOKENIZERS.iter().filter(|(name, _)| honest.contains(name)) {
            let accounting = tokenizer.account(&text, &tokenizer.encode(&text));
            prop_assert!(accounting.is_ok(), "{}: {:?}", name, accounting);
            let accounting = accounting.expect("just checked");
            prop_assert_eq!(accounting.charged_bytes, accounting.normalized_bytes, "{}", name);
        }
    }

    #[test]
    fn a_trained_tokenizer_gives_back_any_text(text in any::<String>()) {
        let (_, tokenizer) = TOKENIZERS.last().expect("the trained one");
        let ids = tokenizer.encode(&text);
        let accounting = tokenizer.account(&text, &ids).expect("nothing is lost");
        prop_assert_eq!(accounting.charged_bytes, text.len() as u64);
        prop_assert_eq!(tokenizer.decode(&ids), Ok(text));
    }

    #[test]
    fn any_ids_decode(ids in prop::collection::vec(0u32..300, 0..20)) {
        for (name, tokenizer) in TOKENIZERS.iter() {
            let inside = ids.iter().all(|id| (*id as usize) < tokenizer.len());
            prop_assert_eq!(tokenizer.decode(&ids).is_ok(), inside, "{}", name);
        }
    }
}
