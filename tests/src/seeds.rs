//! Valid inputs for every parser of [`crate::parsers`], small and made here: where fuzzing starts.

use flate2::Compression;
use flate2::write::ZlibEncoder;
use golf_core::artifact::{Artifact, ArtifactTensor, Provenance, TensorData};
use golf_core::codec::{Codec, Symbols, encode, encode_symbols};
use golf_core::data::shard;
use golf_core::model::ModelConfig;
use golf_core::quant::trellis::State;
use golf_core::tokenizer::{Tokenizer, train_bpe};
use half::f16;
use std::io::Write;
use std::path::Path;

/// `(parser, file name, bytes)` of every seed.
pub fn seeds() -> Vec<(&'static str, String, Vec<u8>)> {
    let tokenizer = tokenizer();
    let mut seeds = vec![
        ("artifact", "bare".to_owned(), encoded(None)),
        ("artifact", "with_tokenizer".to_owned(), encoded(Some(&tokenizer))),
        ("import", "torch_zip".to_owned(), state_dict()),
        ("import", "zlib".to_owned(), zlib(&state_dict())),
        ("import", "safetensors".to_owned(), safetensors()),
        ("shard", "eight_tokens".to_owned(), shard_of(8)),
        ("shard", "one_token".to_owned(), shard_of(1)),
        ("tokenizer_compact", "trained".to_owned(), tokenizer.to_compact()),
        ("tokenizer_model", "sentencepiece".to_owned(), sentencepiece_model()),
    ];
    // The parser takes the codec and the length in units of 64 from the first two bytes.
    let raw: Vec<u8> = (0..640u32).map(|i| (i * i % 23) as u8).collect();
    let seed = |codec: Codec, bytes: Vec<u8>| [vec![codec as u8, 10], bytes].concat();
    for codec in Codec::ALL {
        let bytes = encode(codec, &raw).expect("every codec has an encoder here");
        seeds.push(("codec", codec.name().to_owned(), seed(codec, bytes)));
    }
    let symbols = Symbols { bits: 5, matrices: &[(10, 24), (10, 24), (4, 40)], bytes: &raw };
    seeds.push(("codec", "mixer_matrices".to_owned(), seed(Codec::Mixer, encode_symbols(symbols))));
    let way = way();
    let symbols = Symbols { bits: 6, matrices: &[(16, 40)], bytes: &way };
    seeds.push(("codec", "mixer_trellis".to_owned(), seed(Codec::Mixer, encode_symbols(symbols))));
    seeds
}

/// Sixteen rows of forty 6-bit symbols on a trellis.
fn way() -> Vec<u8> {
    let mut state = State::default();
    let mut symbol = |i: i32| {
        state = if i % 40 == 0 { State::default() } else { state };
        let q = 2 * (i * i % 13 - 6) + state.parity();
        state = state.after(q);
        (q + 32) as u8
    };
    (0..640).map(&mut symbol).collect()
}

fn tokenizer() -> Tokenizer {
    let text = "the cat and the dog and the bird sat in the sun; 12 of them. ".repeat(8);
    train_bpe([text.as_str()], 280).expect("the text has enough pairs for twenty pieces")
}

fn encoded(tokenizer: Option<&Tokenizer>) -> Vec<u8> {
    let q = (0..64).map(|i| (i % 31 - 15) as i8).collect();
    let quantized = TensorData::Quantized { bits: 5, q, scales: vec![f16::from_f32(0.1); 8] };
    let tensors = vec![
        ArtifactTensor { name: "a".into(), shape: vec![8, 8], data: quantized },
        ArtifactTensor { name: "b".into(), shape: vec![4], data: TensorData::F16(vec![f16::ONE; 4]) },
        ArtifactTensor { name: "c".into(), shape: vec![], data: TensorData::F32(vec![0.5]) },
    ];
    let artifact = Artifact {
        config: ModelConfig::default(),
        tensors,
        tokenizer: tokenizer.map(Tokenizer::to_compact),
        tokenizer_identity: tokenizer.map(Tokenizer::identity),
        provenance: Some(Provenance { seed: Some("1".into()), ..Default::default() }),
    };
    artifact.encode().expect("a small artifact is within every limit")
}

/// A torch file with one float tensor: the pickle of `{"w": tensor}` in a stored zip.
fn state_dict() -> Vec<u8> {
    let mut pickle =
        b"\x80\x02}X\x01\x00\x00\x00wctorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storage".to_vec();
    pickle.extend(
        b"ctorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x02tQK\x00K\x02\x85K\x01\x85\x89",
    );
    pickle.extend(b"ccollections\nOrderedDict\n)RtRs.");
    let entries: [(&str, &[u8]); 3] =
        [("archive/data.pkl", &pickle), ("archive/byteorder", b"little"), ("archive/data/0", &[0; 8])];
    stored_zip(&entries)
}

/// A ZIP whose entries are stored without compression.
fn stored_zip(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let (mut file, mut directory) = (Vec::new(), Vec::new());
    for (name, data) in entries {
        let offset = file.len() as u32;
        let mut shared = Vec::new();
        shared.extend([20u8, 0, 0, 0, 0, 0, 0, 0, 0x21, 0]);
        shared.extend(crc32fast::hash(data).to_le_bytes());
        shared.extend((data.len() as u32).to_le_bytes().repeat(2));
        shared.extend((name.len() as u16).to_le_bytes());
        shared.extend([0, 0]);
        file.extend(b"PK\x03\x04");
        file.extend(&shared);
        file.extend(name.as_bytes());
        file.extend(*data);
        directory.extend(b"PK\x01\x02\x14\x00");
        directory.extend(&shared);
        directory.extend([0; 10]);
        directory.extend(offset.to_le_bytes());
        directory.extend(name.as_bytes());
    }
    let (start, length, count) = (file.len() as u32, directory.len() as u32, entries.len() as u16);
    file.extend(directory);
    file.extend(b"PK\x05\x06\x00\x00\x00\x00");
    file.extend(count.to_le_bytes().repeat(2));
    file.extend(length.to_le_bytes());
    file.extend(start.to_le_bytes());
    file.extend([0, 0]);
    file
}

/// Stored blocks only: the bytes must not depend on which zlib is linked.
fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::none());
    encoder.write_all(bytes).expect("memory takes every byte");
    encoder.finish().expect("memory takes every byte")
}

fn safetensors() -> Vec<u8> {
    let header = br#"{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}  "#;
    [&(header.len() as u64).to_le_bytes()[..], header, &[0; 8]].concat()
}

fn shard_of(count: u16) -> Vec<u8> {
    let tokens: Vec<u16> = (0..count).collect();
    shard::encode(Path::new("seed.bin"), &tokens).expect("a few tokens fit a shard")
}

/// A SentencePiece model in its wire format: BPE, a few pieces, an identity normalizer.
fn sentencepiece_model() -> Vec<u8> {
    let pieces = [("<unk>", 2u8), ("<s>", 3), ("</s>", 3), ("\u{2581}", 1), ("a", 1), ("b", 1), ("ab", 1)];
    let mut model = Vec::new();
    for (rank, (piece, kind)) in pieces.iter().enumerate() {
        let mut message = vec![0x0a, piece.len() as u8];
        message.extend(piece.as_bytes());
        message.push(0x15);
        message.extend((-(rank as f32)).to_le_bytes());
        message.extend([0x18, *kind]);
        model.extend([0x0a, message.len() as u8]);
        model.extend(message);
    }
    model.extend([0x12, 2, 0x18, 2]);
    model
}
