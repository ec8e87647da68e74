//! Bytes into the `shard` parser.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| golf_tests::parsers::run("shard", data));
