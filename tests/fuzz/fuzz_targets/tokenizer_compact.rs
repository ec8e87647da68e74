//! Bytes into the `tokenizer_compact` parser.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| golf_tests::parsers::run("tokenizer_compact", data));
