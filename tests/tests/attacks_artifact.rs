//! Malformed artifacts: each is refused with its own error, in bounded memory, without a panic.

#[path = "attacks_artifact/bytes.rs"]
mod bytes;
#[path = "attacks_artifact/collection.rs"]
mod collection;
#[path = "attacks_artifact/content.rs"]
mod content;

use std::sync::{Mutex, MutexGuard};

use golf_core::artifact::{Artifact, ArtifactError, ArtifactTensor, Limits, Provenance, TensorData};
use golf_core::model::ModelConfig;
use half::f16;
use peak_alloc::PeakAlloc;
use sha2::{Digest, Sha256};

use bytes::{
    CONFIG, File, HALVES, IDENTITY, PROVENANCE, SCALES, SINGLES, SYMBOLS, Section, TENSORS, TOKENIZER,
};

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// Memory is measured for the whole process, so only one test may run at a time.
static ALONE: Mutex<()> = Mutex::new(());

/// What refusing a file may cost beyond a few copies of it: the harmless 16 MiB and the decoders' windows.
const ALLOWANCE: usize = 32 << 20;

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn decode(bytes: &[u8]) -> Result<Artifact, ArtifactError> {
    Artifact::decode(bytes, &Limits::default())
}

/// The model that every attack starts from.
fn model() -> Artifact {
    let tensor =
        |name: &str, shape: &[usize], data| ArtifactTensor { name: name.into(), shape: shape.to_vec(), data };
    let quantized =
        |bits, q: &[i8], scales: &[f16]| TensorData::Quantized { bits, q: q.into(), scales: scales.into() };
    Artifact {
        config: ModelConfig::default(),
        tensors: vec![
            tensor(
                "a.fc",
                &[2, 3],
                quantized(6, &[-32, -31, -30, 31, 0, 1], &[f16::ONE, f16::from_bits(0x3801)]),
            ),
            tensor("b.gain", &[2], TensorData::F32(vec![1.0, -2.5])),
            tensor("c.skip", &[2], TensorData::F16(vec![f16::ONE, f16::NEG_ONE])),
            tensor("d.emb", &[1, 2], quantized(8, &[-128, 127], &[f16::ZERO])),
        ],
        tokenizer: Some(b"pieces".to_vec()),
        tokenizer_identity: Some([7; 32]),
        provenance: Some(Provenance { seed: Some("1337".into()), ..Provenance::default() }),
    }
}

/// The same model's file, by the second writer, from the documentation of the layout.
fn sound() -> File {
    let config = serde_json::to_vec(&ModelConfig::default()).unwrap();
    let provenance = b"{\"seed\":\"1337\"}";
    let mut hash = Sha256::new();
    hash.update(b"golf-1.0");
    for field in [&config[..], b"pieces", &[7; 32], provenance] {
        hash.update([1]);
        hash.update((field.len() as u64).to_le_bytes());
        hash.update(field);
    }
    hash.update(4u64.to_le_bytes());
    let data: [&[u8]; 4] = [
        &[0, 1, 2, 63, 32, 33, 0x00, 0x3c, 0x01, 0x38],
        &[0, 0, 0x80, 0x3f, 0, 0, 0x20, 0xc0],
        &[0x00, 0x3c, 0x00, 0xbc],
        &[0, 255, 0, 0],
    ];
    for ((name, element, dims, _), data) in collection::ROWS.iter().zip(data) {
        hash.update((name.len() as u64).to_le_bytes());
        hash.update(name);
        hash.update([*element, dims.len() as u8]);
        dims.iter().for_each(|&dim| hash.update(u64::from(dim).to_le_bytes()));
        hash.update(data);
    }
    let sections = vec![
        Section::new(CONFIG, config),
        Section::new(TENSORS, bytes::table(&collection::ROWS)),
        Section::new(TOKENIZER, *b"pieces"),
        Section::new(IDENTITY, [7; 32]),
        Section::new(PROVENANCE, *provenance),
        // By columns: 0 63, 1 32, 2 33.
        Section { detail: 6, flags: 3, ..Section::new(SYMBOLS, [0, 63, 1, 32, 2, 33]) },
        Section { detail: 8, ..Section::new(SYMBOLS, [0, 255]) },
        Section::new(SCALES, [0, 1, 0, 0x3c, 0x38, 0]),
        Section::new(HALVES, [0, 0, 0x3c, 0xbc]),
        Section::new(SINGLES, [0, 0, 0, 0, 0x80, 0x20, 0x3f, 0xc0]),
    ];
    File::new(hash.finalize().into(), sections)
}

#[test]
fn a_file_written_from_the_documentation_alone_is_read() {
    let _guard = alone();
    assert_eq!(decode(&sound().bytes()).unwrap(), model());
    let written = File::parse(&model().encode().unwrap());
    assert_eq!(written.content, sound().content);
    assert_eq!(written.sections.len(), sound().sections.len());
}

#[test]
fn every_attack_is_refused_with_its_error_in_bounded_memory() {
    let _guard = alone();
    let attacks = collection::CONTAINER.iter().chain(&collection::STREAMS).chain(&content::CONTENT);
    let mut worst = 0;
    for (name, forge, expected) in attacks {
        let bytes = forge(sound());
        let before = MEMORY.current_usage();
        MEMORY.reset_peak_usage();
        let error = decode(&bytes).expect_err(name);
        let used = MEMORY.peak_usage().saturating_sub(before);
        assert!(expected(&error), "{name}: {error:?}");
        assert!(used <= ALLOWANCE + 4 * bytes.len(), "{name}: {used} bytes for a file of {}", bytes.len());
        worst = worst.max(used);
    }
    println!("worst memory of a refusal: {worst} bytes");
}

#[test]
fn a_file_beyond_the_limit_is_not_even_looked_at() {
    let _guard = alone();
    let error = decode(&vec![0; (64 << 20) + 1]).unwrap_err();
    assert!(matches!(error, ArtifactError::Limit { what: "file", .. }), "{error}");
}

#[test]
fn unknown_optional_sections_are_skipped() {
    let _guard = alone();
    let mut file = sound();
    file.insert(Section { codec: 77, detail: 5, flags: 0x40, ..Section::new(9, *b"later") });
    file.insert(Section::new(200, *b"much later"));
    file.section(200).flags = 0;
    assert_eq!(decode(&file.bytes()).unwrap(), model());
}

#[test]
fn truncation_anywhere_is_refused_signed_or_not() {
    let _guard = alone();
    let bytes = model().encode().unwrap();
    for len in 0..bytes.len() {
        assert!(decode(&bytes[..len]).is_err(), "{len} bytes");
        if (96..bytes.len() - 32).contains(&len) {
            let mut signed = bytes[..len].to_vec();
            signed[16..24].copy_from_slice(&(len as u64 + 32).to_le_bytes());
            resign(&mut signed);
            assert!(decode(&signed).is_err(), "{len} signed bytes");
        }
    }
}

#[test]
fn every_flipped_bit_is_noticed() {
    let _guard = alone();
    let mut bytes = model().encode().unwrap();
    for at in 0..bytes.len() {
        for bit in 0..8 {
            bytes[at] ^= 1 << bit;
            assert!(decode(&bytes).is_err(), "bit {bit} of byte {at}");
            bytes[at] ^= 1 << bit;
        }
    }
}

/// Changed files with all checksums made right again reach the decoders and parsers. None may panic, and what is
/// accepted all the same must say the same.
#[test]
fn signed_damage_never_panics_and_never_changes_the_content() {
    let _guard = alone();
    let mut accepted = 0;
    for original in [model().encode().unwrap(), sound().bytes(), larger().encode().unwrap()] {
        let expected = decode(&original).unwrap();
        for at in 0..original.len() - 32 {
            for change in [0x01, 0x80, 0xff, at as u8 | 2] {
                let mut bytes = original.clone();
                bytes[at] ^= change;
                resign(&mut bytes);
                if let Ok(artifact) = decode(&bytes) {
                    assert_eq!(artifact, expected, "byte {at} changed by {change:#04x}");
                    accepted += 1;
                }
            }
        }
    }
    // Version fields, checksums that were computed anew, and what codecs leave open: LZMA's dictionary size, first and
    // last bytes, a few redundant bits of Brotli.
    println!("{accepted} changes were harmless");
}

/// A model large enough for its sections to be compressed.
fn larger() -> Artifact {
    let q = (0..40 * 24i32).map(|i| ((i * i) % 7 + (i * 5) % 9 - 7) as i8).collect();
    let data = TensorData::Quantized { bits: 6, q, scales: vec![f16::ONE; 40] };
    let tensors = vec![ArtifactTensor { name: "blocks.0.fc".into(), shape: vec![40, 24], data }];
    Artifact { tensors, tokenizer: Some(b"the quick brown fox ".repeat(20)), ..model() }
}

/// Makes every checksum right for what the section table says, as far as it can be followed; then the digest.
fn resign(bytes: &mut Vec<u8>) {
    let count = usize::from(u16::from_le_bytes([bytes[14], bytes[15]]));
    let table_end = (64 + 16 * count).min(bytes.len());
    let mut offset = table_end;
    for at in (64..table_end.saturating_sub(15)).step_by(16) {
        let stored =
            u32::from_le_bytes([bytes[at + 8], bytes[at + 9], bytes[at + 10], bytes[at + 11]]) as usize;
        let end = offset.saturating_add(stored).min(bytes.len());
        let crc = crc32fast::hash(&bytes[offset..end]);
        bytes[at + 12..at + 16].copy_from_slice(&crc.to_le_bytes());
        offset = end;
    }
    bytes[28..32].fill(0);
    let crc = crc32fast::hash(&bytes[..table_end]);
    bytes[28..32].copy_from_slice(&crc.to_le_bytes());
    let declared = u64::from_le_bytes(bytes[16..24].try_into().unwrap());
    let body = bytes.len().min(usize::try_from(declared).unwrap_or(usize::MAX).saturating_sub(32));
    bytes.truncate(body);
    let digest: [u8; 32] = Sha256::digest(&*bytes).into();
    bytes.extend(digest);
}
