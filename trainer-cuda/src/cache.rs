//! What compilers made before, on disk, by the digest of everything that went in. Losing it costs time, nothing else.

use golf_core::durable;
use std::path::PathBuf;
use std::{env, fs, io};

/// The folder, created: `golf/cuda` under `XDG_CACHE_HOME`, else under `~/.cache`, else among temporary files.
pub(crate) fn folder() -> io::Result<PathBuf> {
    let given = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let home = || given("HOME").map(|home| home.join(".cache"));
    let folder =
        given("XDG_CACHE_HOME").or_else(home).unwrap_or_else(env::temp_dir).join("golf").join("cuda");
    fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// The file `name`, if it was stored.
pub(crate) fn load(name: &str) -> Option<Vec<u8>> {
    fs::read(folder().ok()?.join(name)).ok()
}

/// Stores the file `name`.
pub(crate) fn store(name: &str, bytes: &[u8]) -> io::Result<()> {
    durable::replace(&folder()?.join(name), bytes)
}
