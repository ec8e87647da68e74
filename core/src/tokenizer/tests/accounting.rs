//! The byte table and the accounting check on known texts.

use super::super::{Accounting, AccountingError, Tokenizer};
use super::model;

fn counts(charged_bytes: u64, normalized_bytes: u64, raw_bytes: u64) -> Accounting {
    Accounting { charged_bytes, normalized_bytes, raw_bytes }
}

fn account(tokenizer: &Tokenizer, text: &str) -> Result<Accounting, AccountingError> {
    tokenizer.account(text, &tokenizer.encode(text))
}

#[test]
fn the_dummy_prefix_is_no_byte() {
    let tokenizer = model("dummy_bytes");
    assert_eq!(account(&tokenizer, ""), Ok(counts(0, 0, 0)));
    assert_eq!(account(&tokenizer, "a"), Ok(counts(1, 1, 1)));
    assert_eq!(account(&tokenizer, "  a   b  "), Ok(counts(3, 3, 9)));
    assert_eq!(account(&tokenizer, "   "), Ok(counts(0, 0, 3)));
    assert_eq!(account(&tokenizer, "\u{65e5}\0\u{1f600}"), Ok(counts(8, 8, 8)));
}

#[test]
fn kept_spaces_are_bytes_except_one_at_the_start() {
    // A dummy prefix comes first, so the text's own first space counts.
    assert_eq!(account(&model("user_symbols"), "  a  b "), Ok(counts(7, 7, 7)));
    // Without one the first space follows BOS, where the table charges none.
    let tokenizer = model("plain_unk");
    assert_eq!(account(&tokenizer, " a b "), Ok(counts(4, 4, 5)));
    assert_eq!(account(&tokenizer, "a b "), Ok(counts(4, 4, 4)));
}

#[test]
fn a_space_symbol_in_the_text_is_the_space_it_is_taken_for() {
    assert_eq!(account(&model("dummy_bytes"), "a\u{2581}b"), Ok(counts(3, 3, 5)));
}

#[test]
fn the_first_unknown_character_is_named() {
    let tokenizer = model("plain_unk");
    let text = "a a\u{2603}\u{2604}a \u{1f601}";
    let Err(AccountingError::Lossy { accounting, first }) = account(&tokenizer, text) else {
        panic!("unknown characters lose bytes")
    };
    assert_eq!(accounting, counts(5, 15, 15));
    assert_eq!((&*first.piece, &*first.text, first.raw_offset), ("<unk>", "\u{2603}\u{2604}", 3));
    assert_eq!((first.charged, first.expected), (0, 6));
    assert_eq!(tokenizer.encode(text)[first.token], first.id);
}

#[test]
fn a_dummy_suffix_is_an_invented_byte() {
    let Err(AccountingError::Lossy { accounting, first }) = account(&model("suffix_unk"), "a") else {
        panic!("the dummy suffix is charged although the text has no such byte")
    };
    assert_eq!(accounting, counts(2, 1, 1));
    assert_eq!((first.charged, first.expected), (2, 1));
}

#[test]
fn ids_of_another_text_are_refused() {
    let tokenizer = model("dummy_bytes");
    let mut ids = tokenizer.encode("a b c");
    let got = ids.pop();
    let error = tokenizer.account("a b c", &ids).expect_err("an id is missing");
    assert_eq!(error, AccountingError::OtherIds { token: ids.len(), expected: got, got: None });
}

#[test]
fn padding_rows_carry_no_bytes() {
    let tokenizer = model("dummy_bytes");
    let table = tokenizer.byte_table().padded(1000);
    assert_eq!(table.bytes.len(), 1000);
    assert!(table.boundary[999]);
    assert_eq!(table.target_bytes(Some(5), 999), 0);
    assert_eq!(tokenizer.byte_table().target_bytes(Some(5), 999), 0);
    assert_eq!(tokenizer.byte_table().padded(3), *tokenizer.byte_table());
}
