//! The fuzz targets' seeds and their neighbourhood as plain tests, so that the corpus cannot rot.

use golf_tests::parsers::PARSERS;
use golf_tests::seeds::seeds;
use std::fs;
use std::path::{Path, PathBuf};

fn seed_folder(parser: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(parser)
}

/// Writes the seeds when `GOLF_WRITE_SEEDS` is set; otherwise the committed ones must be those that the code makes.
#[test]
fn committed_seeds_are_the_ones_that_the_code_makes() {
    for (parser, name, bytes) in seeds() {
        let path = seed_folder(parser).join(name);
        if std::env::var_os("GOLF_WRITE_SEEDS").is_some() {
            fs::create_dir_all(seed_folder(parser)).expect("the seed folder can be made");
            fs::write(&path, &bytes).expect("a seed can be written");
        }
        let committed = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert_eq!(committed, bytes, "{} is stale: run with GOLF_WRITE_SEEDS=1", path.display());
    }
}

#[test]
fn every_fuzz_target_has_seeds_and_a_parser() {
    for parser in &PARSERS {
        let target =
            Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("fuzz/fuzz_targets/{}.rs", parser.name));
        assert!(target.is_file(), "{} is missing", target.display());
        let files = fs::read_dir(seed_folder(parser.name)).expect("a parser has a seed folder");
        assert!(files.count() > 0, "`{}` has no seeds", parser.name);
    }
}

#[test]
fn parsers_survive_mutations_of_their_seeds() {
    for (parser, name, seed) in seeds() {
        let mut state = seed
            .iter()
            .fold(0x9e37_79b9_7f4a_7c15_u64, |h, &b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3));
        let mut next = move |bound: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state % bound.max(1) as u64) as usize
        };
        for round in 0..200 {
            let mut bytes = seed.clone();
            for _ in 0..=next(4) {
                let at = next(bytes.len());
                match next(4) {
                    0 => bytes[at] ^= 1 << next(8),
                    1 => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][next(5)],
                    2 => bytes.truncate(at.max(1)),
                    _ => bytes.insert(at, next(256) as u8),
                }
            }
            let attempt = std::panic::catch_unwind(|| golf_tests::parsers::run(parser, &bytes));
            assert!(
                attempt.is_ok(),
                "`{parser}` panicked on mutation {round} of seed `{name}`: {bytes:02x?}"
            );
        }
    }
}

#[test]
fn every_seed_of_a_file_format_is_accepted() {
    for (parser, name, bytes) in seeds() {
        let accepted = match parser {
            "artifact" => golf_core::artifact::Artifact::decode(&bytes, &Default::default()).is_ok(),
            "import" => golf_core::import::import_bytes(&bytes, &Default::default()).is_ok(),
            "tokenizer_compact" => golf_core::tokenizer::Tokenizer::from_compact(&bytes).is_ok(),
            "tokenizer_model" => golf_core::tokenizer::Tokenizer::from_sentencepiece(&bytes).is_ok(),
            _ => true,
        };
        assert!(accepted, "`{parser}` refuses its own seed `{name}`");
    }
}
