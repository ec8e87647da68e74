//! Equality with the reference implementation on the committed fixture.

use serde_json::Value;

use super::{MODELS, Tokenizer};

fn fixture() -> Value {
    serde_json::from_str(include_str!("../testdata/reference.json")).expect("the fixture is JSON")
}

fn strings(value: &Value) -> Vec<&str> {
    value.as_array().expect("an array").iter().map(|item| item.as_str().expect("a string")).collect()
}

fn id_lists(value: &Value) -> Vec<Vec<u32>> {
    serde_json::from_value(value.clone()).expect("lists of ids")
}

fn check(name: &str, tokenizer: &Tokenizer, fixture: &Value) {
    let expected = &fixture["models"][name];
    let texts = strings(&fixture["texts"]);
    let (ids, normalized) = (id_lists(&expected["ids"]), strings(&expected["normalized"]));
    let decoded = strings(&expected["decoded"]);
    assert_eq!(texts.len(), ids.len());
    for (case, text) in texts.iter().enumerate() {
        assert_eq!(tokenizer.normalize(text), normalized[case], "{name}: normalized {text:?}");
        assert_eq!(tokenizer.encode(text), ids[case], "{name}: ids of {text:?}");
        assert_eq!(tokenizer.decode(&ids[case]).as_deref(), Ok(decoded[case]), "{name}: decoded {text:?}");
    }
    for (list, text) in id_lists(&expected["id_lists"]).iter().zip(strings(&expected["id_texts"])) {
        assert_eq!(tokenizer.decode(list).as_deref(), Ok(text), "{name}: text of {list:?}");
    }
}

#[test]
fn every_option_gives_the_ids_and_texts_of_the_reference_implementation() {
    let fixture = fixture();
    for (name, bytes) in MODELS {
        let tokenizer = Tokenizer::from_sentencepiece(bytes).expect("the committed models are sound");
        check(name, &tokenizer, &fixture);
        let compact = Tokenizer::from_compact(&tokenizer.to_compact()).expect("a compact form reads back");
        check(name, &compact, &fixture);
    }
}
