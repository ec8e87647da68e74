//! Replacing a file so that a crash at any moment leaves either the old one or the new one, complete.

use std::io::{self, Write};
use std::path::Path;

/// Prefix of files that are being written; one that is left over belongs to a killed process.
pub const PARTIAL_PREFIX: &str = ".partial-";

/// Writes `bytes` to a temporary file in the folder of `path`, makes it durable, and renames it to `path`.
#[cfg(not(target_arch = "wasm32"))]
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let mut builder = tempfile::Builder::new();
    builder.prefix(PARTIAL_PREFIX);
    // Temporary files are private by default; what is renamed is an ordinary file under the user's mask.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut file = builder.tempfile_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|e| e.error)?;
    // The rename itself must survive a crash. Systems that cannot sync a folder do not need it.
    #[cfg(unix)]
    std::fs::File::open(folder)?.sync_all()?;
    Ok(())
}

/// Writes `bytes` to `path`; there are no crashes to survive.
#[cfg(target_arch = "wasm32")]
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    std::fs::File::create(path)?.write_all(bytes)
}

/// Removes what killed processes left half written in `folder`.
pub fn remove_partial(folder: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(PARTIAL_PREFIX) {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}
