//! ZIPs and outer codings that lie about what they hold.

use std::io::Write;

use golf_core::import::{ContainerError, ImportError, TorchZipError};

use super::torch_file::{Entry, Pickle, zip};
use super::{Cause, refused};

#[test]
fn zips_that_lie_are_refused() {
    let pickle = Pickle::new().raw(b"}").stop();
    let good = || Entry::new("m/data.pkl", &pickle);
    let storage = || Entry::new("m/data/0", &[1, 2, 3, 4]);
    refused(vec![
        ("no data.pkl", zip(&[storage()]), cause!(ImportError::TorchZip(TorchZipError::Pickles { got: 0 }))),
        (
            "two data.pkl",
            zip(&[good(), Entry::new("n/data.pkl", &pickle)]),
            cause!(ImportError::TorchZip(TorchZipError::Pickles { got: 2 })),
        ),
        (
            "the same name twice",
            zip(&[good(), storage(), storage()]),
            cause!(ImportError::TorchZip(TorchZipError::DuplicateName)),
        ),
        (
            "a compressed entry that would be a bomb",
            zip(&[good(), Entry { method: 8, size: u32::MAX - 1, ..storage() }]),
            cause!(ImportError::TorchZip(TorchZipError::NotStored { how: "compressed", .. })),
        ),
        (
            "an encrypted entry",
            zip(&[good(), Entry { flags: 0x801, ..storage() }]),
            cause!(ImportError::TorchZip(TorchZipError::NotStored { how: "encrypted", .. })),
        ),
        (
            "a stored entry with two sizes",
            zip(&[good(), Entry { size: 1 << 30, ..storage() }]),
            cause!(ImportError::TorchZip(TorchZipError::Sizes { .. })),
        ),
        (
            "an entry larger than the file",
            zip(&[good(), Entry { size: 1 << 30, stored: 1 << 30, ..storage() }]),
            cause!(ImportError::TorchZip(TorchZipError::Overlap)),
        ),
        (
            "two entries over the same bytes",
            zip(&[good(), Entry { offset: Some(0), ..Entry::new("m/data/x", &pickle) }]),
            cause!(ImportError::TorchZip(TorchZipError::Overlap)),
        ),
        (
            "wrong checksum",
            zip(&[good(), Entry { crc: 7, ..storage() }]),
            cause!(ImportError::TorchZip(TorchZipError::Checksum { .. })),
        ),
        (
            "big-endian",
            zip(&[good(), Entry::new("m/byteorder", b"big")]),
            cause!(ImportError::TorchZip(TorchZipError::ByteOrder { .. })),
        ),
        (
            "a name that is not UTF-8",
            zip(&[good(), Entry { name: vec![b'm', b'/', 0xff], flags: 0, ..storage() }]),
            cause!(ImportError::TorchZip(TorchZipError::Name { index: 1 })),
        ),
        (
            "no central directory",
            zip(&[good()])[..60].to_vec(),
            cause!(ImportError::TorchZip(TorchZipError::Structure(_))),
        ),
    ]);
}

#[test]
fn containers_that_lie_are_refused() {
    let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    let mut brotli_bytes = Vec::new();
    let mut brotli = brotli::CompressorWriter::new(&mut brotli_bytes, 1 << 16, 9, 22);
    let zeros = vec![0; 1 << 20];
    for _ in 0..80 {
        zlib.write_all(&zeros).unwrap();
        brotli.write_all(&zeros).unwrap();
    }
    drop(brotli);
    let shuffles = b"BSHF\x01".repeat(9);
    refused(vec![
        (
            "zlib bomb of 80 MiB",
            zlib.finish().unwrap(),
            cause!(ImportError::Container(ContainerError::TooLarge { .. })),
        ),
        (
            "brotli bomb of 80 MiB",
            brotli_bytes,
            cause!(ImportError::Container(ContainerError::TooLarge { .. })),
        ),
        ("empty", vec![], cause!(ImportError::Container(ContainerError::Empty))),
        ("text", b"<!DOCTYPE html>".to_vec(), cause!(ImportError::Container(ContainerError::Unknown { .. }))),
        (
            "a bare pickle",
            Pickle::new().global("os", "system").stop(),
            cause!(ImportError::Container(ContainerError::Unsupported { .. })),
        ),
        (
            "a per-group container",
            b"PGRP\x01\0\0\0".to_vec(),
            cause!(ImportError::Container(ContainerError::Unsupported { .. })),
        ),
        ("a chain of codings", shuffles, cause!(ImportError::Container(ContainerError::TooDeep { .. }))),
        ("stride 0", b"BSHF\0abc".to_vec(), cause!(ImportError::Container(ContainerError::Stride { .. }))),
        (
            "damaged zlib",
            vec![0x78, 0xda, 0xff, 0xff, 1, 2, 3],
            cause!(ImportError::Container(ContainerError::Damaged { .. })),
        ),
        (
            "zstd window of 1 TiB",
            vec![0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xf0, 1, 0, 0],
            cause!(ImportError::Container(ContainerError::Damaged { .. })),
        ),
        (
            "lzma dictionary of 4 GiB",
            [&[0x5d, 0, 0, 0xff, 0xff][..], &[0xff; 8], &[0; 16]].concat(),
            cause!(ImportError::Container(ContainerError::Damaged { .. })),
        ),
        (
            "safetensors header beyond the file",
            b"\x0a\0\0\0\0\0\0\0{\"a\":7    ".to_vec(),
            cause!(ImportError::Safetensors(_)),
        ),
    ]);
}
