//! Bytes into the `tokenizer_model` parser.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| golf_tests::parsers::run("tokenizer_model", data));
