//! Bytes into the `artifact` parser.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| golf_tests::parsers::run("artifact", data));
