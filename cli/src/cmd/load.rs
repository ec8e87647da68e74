//! Opening what a user named: artifacts, their tokenizers, texts and shards.
//!
//! A tokenizer is identified by its pieces, byte table and normalization, never by its file name: two tokenizers
//! circulate as `fineweb_1024_bpe.model`, and a model scored with the wrong one gives nonsense that looks like a number.

use golf_core::artifact::{Artifact, ArtifactError, Limits};
use golf_core::data::shard::{ShardError, ShardReader};
use golf_core::digest::{hex, sha256_hex};
use golf_core::tokenizer::{CompactError, Tokenizer, TokenizerError};
use std::io;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Why an input cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The system refused.
    #[error("cannot read `{}`: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The artifact is damaged or something else.
    #[error("`{}`", path.display())]
    Artifact {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: ArtifactError,
    },
    /// The tokenizer file is damaged or of an unsupported kind.
    #[error("`{}`", path.display())]
    Tokenizer {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: TokenizerError,
    },
    /// The tokenizer inside the artifact is damaged.
    #[error("`{}`: the tokenizer inside", path.display())]
    Compact {
        /// The artifact.
        path: PathBuf,
        /// Why.
        #[source]
        source: CompactError,
    },
    /// The shard is damaged or something else.
    #[error(transparent)]
    Shard(#[from] ShardError),
    /// The text is not UTF-8.
    #[error(
        "`{}` is not UTF-8: byte {byte:#04x} at offset {offset}\nhint: convert it, for example with `iconv -t utf-8`",
        path.display()
    )]
    NotUtf8 {
        /// The file.
        path: PathBuf,
        /// Offset of the first byte that is not part of a character.
        offset: usize,
        /// That byte.
        byte: u8,
    },
    /// Neither the artifact nor the command line has a tokenizer.
    #[error("`{}` holds no tokenizer\nhint: name one with --tokenizer FILE.model", path.display())]
    NoTokenizer {
        /// The artifact.
        path: PathBuf,
    },
    /// The tokenizer named is not the artifact's.
    #[error(
        "`{}` is not the tokenizer of this artifact: expected identity {expected}, got {got}\n\
         hint: leave out --tokenizer to use the one inside, or pass --force-tokenizer to get a marked result",
        path.display()
    )]
    OtherTokenizer {
        /// The tokenizer file.
        path: PathBuf,
        /// Identity in the artifact.
        expected: String,
        /// Identity of the file.
        got: String,
    },
    /// A tokenizer that circulates under another one's name.
    #[error(
        "{name}\nhint: almost no model was trained with it; if yours was, pass --force-tokenizer to get a marked result"
    )]
    Impostor {
        /// What it is.
        name: &'static str,
    },
    /// A tokenizer with more pieces than the model has rows.
    #[error("the tokenizer has {pieces} pieces, the model only {vocab} rows")]
    Vocabulary {
        /// Pieces.
        pieces: usize,
        /// Rows of the token embedding.
        vocab: usize,
    },
    /// A tokenizer without a begin-of-stream marker.
    #[error("the tokenizer has no begin-of-stream piece, which every scored stream starts with")]
    NoBos,
}

/// Piece identities of tokenizers that are not what their file names say, and what they are.
const IMPOSTORS: [(&str, &str); 1] = [(
    "0cefe45994d4586c7a07b9f1609968212cc9ec215f9599abef1f11c58d31bf5d",
    "this is not the challenge's 1024-piece tokenizer but another one that circulates under its name \
     (no byte pieces; every merged piece has an id 256 lower): models of the challenge score about 20 nats a token with it",
)];

/// Window of models that do not state theirs, in tokens.
const DEFAULT_WINDOW: usize = 1024;

/// Tokens of context that `artifact` was made for.
pub fn window(artifact: &Artifact) -> usize {
    match artifact.config.window {
        0 => DEFAULT_WINDOW,
        stated => stated,
    }
}

/// What is known against a tokenizer.
pub fn impostor(tokenizer: &Tokenizer) -> Option<&'static str> {
    let identity = hex(&tokenizer.pieces_identity());
    IMPOSTORS.iter().find(|(known, _)| *known == identity).map(|(_, name)| *name)
}

/// The bytes of a file.
pub fn read(path: &Path) -> Result<Vec<u8>, LoadError> {
    std::fs::read(path).map_err(|source| LoadError::Read { path: path.to_path_buf(), source })
}

/// An artifact and the SHA-256 of its file.
pub fn artifact(path: &Path) -> Result<(Artifact, String), LoadError> {
    let bytes = read(path)?;
    let artifact = Artifact::decode(&bytes, &Limits::default())
        .map_err(|source| LoadError::Artifact { path: path.to_path_buf(), source })?;
    Ok((artifact, sha256_hex(&bytes)))
}

/// A SentencePiece `.model` file.
fn tokenizer_file(path: &Path) -> Result<Tokenizer, LoadError> {
    Tokenizer::from_sentencepiece(&read(path)?)
        .map_err(|source| LoadError::Tokenizer { path: path.to_path_buf(), source })
}

/// The tokenizer in a SentencePiece model or in an artifact.
pub fn tokenizer_in(path: &Path) -> Result<Tokenizer, LoadError> {
    if !Artifact::begins(&read(path)?) {
        return tokenizer_file(path);
    }
    let (artifact, _) = artifact(path)?;
    Ok(tokenizer(path, &artifact, None, false)?.tokenizer)
}

/// A tokenizer to score with.
#[derive(Debug)]
pub struct ChosenTokenizer {
    /// The tokenizer.
    pub tokenizer: Tokenizer,
    /// It is known or said to be the wrong one; the result must be marked.
    pub forced: bool,
}

/// The tokenizer for the artifact at `path`: the one inside, or `file` if that is the same or `force` is set.
pub fn tokenizer(
    path: &Path,
    artifact: &Artifact,
    file: Option<&Path>,
    force: bool,
) -> Result<ChosenTokenizer, LoadError> {
    let inside = artifact.tokenizer.as_deref().map(Tokenizer::from_compact).transpose();
    let inside = inside.map_err(|source| LoadError::Compact { path: path.to_path_buf(), source })?;
    let expected = artifact.tokenizer_identity.or(inside.as_ref().map(Tokenizer::identity));
    let named = file.map(tokenizer_in).transpose()?;
    let mut forced = false;
    if let (Some(path), Some(named), Some(expected)) = (file, &named, expected)
        && named.identity() != expected
    {
        if !force {
            let (expected, got) = (hex(&expected), hex(&named.identity()));
            return Err(LoadError::OtherTokenizer { path: path.to_path_buf(), expected, got });
        }
        forced = true;
    }
    let from_file = named.is_some();
    let Some(tokenizer) = named.or(inside) else {
        return Err(LoadError::NoTokenizer { path: path.to_path_buf() });
    };
    let vocab = artifact.config.vocab;
    if tokenizer.len() > vocab {
        return Err(LoadError::Vocabulary { pieces: tokenizer.len(), vocab });
    }
    if let Some(name) = impostor(&tokenizer) {
        if from_file && !force {
            return Err(LoadError::Impostor { name });
        }
        forced = true;
    }
    Ok(ChosenTokenizer { tokenizer, forced })
}

/// A text file.
pub fn text(path: &Path) -> Result<String, LoadError> {
    String::from_utf8(read(path)?).map_err(|error| {
        let offset = error.utf8_error().valid_up_to();
        LoadError::NotUtf8 { path: path.to_path_buf(), offset, byte: error.as_bytes()[offset] }
    })
}

/// The ids of a shard, at least one, and the SHA-256 of the file.
pub fn shard(path: &Path) -> Result<(Vec<i32>, String), LoadError> {
    let digest = sha256_hex(&read(path)?);
    let mut shard = ShardReader::open(path)?;
    let mut tokens = Vec::new();
    shard.read(0, shard.tokens() as usize, &mut tokens)?;
    Ok((tokens.into_iter().map(i32::from).collect(), digest))
}
