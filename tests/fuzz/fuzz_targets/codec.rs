//! Bytes into the `codec` parser.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| golf_tests::parsers::run("codec", data));
