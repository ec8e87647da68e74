//! Training data: token shards on disk, the stream over them, and their making from text.
//!
//! [`shard`] reads and writes one file, [`stream`] is the loader that training and resuming rest on, [`corpus`] makes
//! shards and a [`manifest`] out of the [`documents`] of a text, [`audit`] finds what two sides share. Tokenizers are not known here: text becomes ids through a closure.
//!
//! Invariant: every shard is checked (header, length, the ids at its beginning) before the first token is used, the other ids
//! where they are read, and a position in the stream determines everything that follows. Making a corpus is work for a native machine.

#[cfg(not(target_arch = "wasm32"))]
pub mod audit;
#[cfg(not(target_arch = "wasm32"))]
pub mod corpus;
#[cfg(not(target_arch = "wasm32"))]
mod corpus_error;
#[cfg(not(target_arch = "wasm32"))]
pub mod documents;
#[cfg(not(target_arch = "wasm32"))]
mod hashing;
#[cfg(not(target_arch = "wasm32"))]
pub mod manifest;
pub mod shard;
pub mod stream;

#[cfg(not(target_arch = "wasm32"))]
pub use corpus::CorpusOptions;
#[cfg(not(target_arch = "wasm32"))]
pub use corpus_error::CorpusError;
#[cfg(not(target_arch = "wasm32"))]
pub use documents::{DocumentError, Documents, Separation};
#[cfg(not(target_arch = "wasm32"))]
pub use manifest::{HeldOut, Manifest};
pub use shard::{ShardError, ShardReader};
pub use stream::{Batch, Position, StreamError, TokenStream};
