//! Bytes into the `import` parser.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| golf_tests::parsers::run("import", data));
