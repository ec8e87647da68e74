//! The ZIP of a torch file: stored entries under one folder, storages aligned to 64 bytes, no times.

use std::io::{Cursor, Write};

use zip::CompressionMethod;
use zip::write::{SimpleFileOptions, ZipWriter};

use super::pickle::{Storage, Value, program};

/// Writing into memory fails only when entries or names do not fit a ZIP, and a torch file's do.
const IN_MEMORY: &str = "a ZIP in memory takes entries of these names and sizes";

pub(super) fn file(object: &Value, storages: &[Storage]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Stored)
        .last_modified_time(zip::DateTime::default());
    let mut entry = |name: &str, bytes: &[u8]| {
        zip.start_file(format!("archive/{name}"), options.with_alignment(64)).expect(IN_MEMORY);
        zip.write_all(bytes).expect(IN_MEMORY);
    };
    entry("data.pkl", &program(object));
    entry("byteorder", b"little");
    for (key, storage) in storages.iter().enumerate() {
        entry(&format!("data/{key}"), &storage.bytes);
    }
    entry("version", b"3\n");
    zip.finish().expect(IN_MEMORY).into_inner()
}
