//! What compilers made before, on disk, by the digest of everything that went in. Losing it costs time, nothing else.

use golf_core::durable;
use std::path::PathBuf;
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

/// The file `name`, from the first folder that has it.
pub(crate) fn load(name: &str) -> Option<Vec<u8>> {
    folders().iter().find_map(|folder| fs::read(folder.join(name)).ok())
}

/// Stores the file `name` in the cache.
pub(crate) fn store(name: &str, bytes: &[u8]) -> io::Result<()> {
    durable::replace(&folder()?.join(name), bytes)
}
