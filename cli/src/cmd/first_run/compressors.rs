//! General compressors on the same bytes: the yardstick that everybody knows. Each at the level that the table names.

use flate2::Compression;
use flate2::write::GzEncoder;
use lzma_rust2::{XzOptions, XzWriter};
use std::io::{self, Write};

/// A compressor of the table.
struct Compressor {
    name: &'static str,
    size: fn(&[u8]) -> io::Result<usize>,
}

const COMPRESSORS: [Compressor; 3] = [
    Compressor { name: "gzip -9", size: gzip },
    Compressor { name: "xz -9", size: xz },
    Compressor { name: "zstd -19", size: zstd },
];

/// `(name, compressed bytes)` of every compressor.
pub fn sizes(text: &[u8]) -> io::Result<Vec<(&'static str, usize)>> {
    COMPRESSORS.iter().map(|c| Ok((c.name, (c.size)(text)?))).collect()
}

fn gzip(text: &[u8]) -> io::Result<usize> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(text)?;
    Ok(encoder.finish()?.len())
}

fn xz(text: &[u8]) -> io::Result<usize> {
    let mut encoder = XzWriter::new(Vec::new(), XzOptions::with_preset(9))?;
    encoder.write_all(text)?;
    Ok(encoder.finish()?.len())
}

fn zstd(text: &[u8]) -> io::Result<usize> {
    Ok(zstd::bulk::compress(text, 19)?.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_compressor_shrinks_repeated_text() {
        let text = "the state of the union is strong. ".repeat(200);
        for (name, size) in sizes(text.as_bytes()).expect("memory takes every byte") {
            assert!(size > 0 && size < text.len() / 10, "{name}: {size} of {}", text.len());
        }
    }
}
