//! What compilers made before, on disk, by the digest of everything that went in. Losing it costs time, nothing else.
//!
//! A stored file ends in the digest of its content: a driver that is given half a program may do anything.

use golf_core::digest::sha256_hex;
use golf_core::durable;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

/// Variable that names a folder of code compiled ahead, which is only read.
pub const KERNELS: &str = "GOLF_KERNELS";

fn given(name: &str) -> Option<PathBuf> {
    env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// `golf/cuda` under `XDG_CACHE_HOME`, else under `~/.cache`, else among temporary files.
fn place() -> PathBuf {
    let home = || given("HOME").map(|home| home.join(".cache"));
    given("XDG_CACHE_HOME").or_else(home).unwrap_or_else(env::temp_dir).join("golf").join("cuda")
}

/// The cache's folder, created.
pub fn folder() -> io::Result<PathBuf> {
    let folder = place();
    fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// Where code is looked for, in order: what `GOLF_KERNELS` names, then the cache. Either may not exist.
pub fn folders() -> Vec<PathBuf> {
    given(KERNELS).into_iter().chain([place()]).collect()
}

/// What was stored as `name`, from the first folder that has it whole.
pub(crate) fn load(name: &str) -> Option<Vec<u8>> {
    folders().iter().find_map(|folder| whole(fs::read(folder.join(name)).ok()?))
}

/// Stores `bytes` as `name` in the cache.
pub(crate) fn store(name: &str, bytes: &[u8]) -> io::Result<()> {
    store_in(&folder()?, name, bytes)
}

/// Stores `bytes` as `name` in `folder`.
pub(crate) fn store_in(folder: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    durable::replace(&folder.join(name), &sealed(bytes))
}

/// Bytes of a digest as text.
const DIGEST: usize = 64;

/// With the digest behind it.
fn sealed(bytes: &[u8]) -> Vec<u8> {
    [bytes, sha256_hex(bytes).as_bytes()].concat()
}

/// What was sealed, unless it has changed since.
fn whole(mut file: Vec<u8>) -> Option<Vec<u8>> {
    let digest = file.split_off(file.len().checked_sub(DIGEST)?);
    (sha256_hex(&file).as_bytes() == digest).then_some(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stored_comes_back_and_what_was_damaged_does_not() {
        for content in [&b""[..], b"code", &[0; 100]] {
            let file = sealed(content);
            assert_eq!(whole(file.clone()).as_deref(), Some(content));
            assert_eq!(whole(file[..file.len() - 1].to_vec()), None);
            assert_eq!(whole(content.to_vec()), None);
            for at in 0..file.len() {
                let mut damaged = file.clone();
                damaged[at] ^= 1;
                assert_eq!(whole(damaged), None, "byte {at} of {}", file.len());
            }
        }
    }
}
