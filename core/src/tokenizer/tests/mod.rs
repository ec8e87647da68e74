//! Tests of the tokenizer as a whole; parts are tested beside their code.

mod accounting;
mod compact;
mod malformed;
mod properties;
mod reference;
mod shared;

use super::Tokenizer;

/// The self-made models of `testdata`, each with its own options.
const MODELS: [(&str, &[u8]); 9] = [
    ("dummy_bytes", include_bytes!("../testdata/dummy_bytes.model")),
    ("own_rules", include_bytes!("../testdata/own_rules.model")),
    ("phrases", include_bytes!("../testdata/phrases.model")),
    ("plain_unk", include_bytes!("../testdata/plain_unk.model")),
    ("suffix_bytes_spaces", include_bytes!("../testdata/suffix_bytes_spaces.model")),
    ("suffix_unk", include_bytes!("../testdata/suffix_unk.model")),
    ("unescaped", include_bytes!("../testdata/unescaped.model")),
    ("unused_ties", include_bytes!("../testdata/unused_ties.model")),
    ("user_symbols", include_bytes!("../testdata/user_symbols.model")),
];

fn model_bytes(name: &str) -> &'static [u8] {
    MODELS.iter().find(|(other, _)| *other == name).map(|(_, bytes)| *bytes).expect("a model of this name")
}

fn model(name: &str) -> Tokenizer {
    Tokenizer::from_sentencepiece(model_bytes(name)).expect("the committed models are sound")
}
