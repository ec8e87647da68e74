//! NVIDIA's libraries beside the driver, looked for in the folders that this machine's environment names, then where the
//! system's loader looks. What a folder has is loaded for good, so that a later look-up by name finds it.

#![allow(unsafe_code)]

use libloading::Library;
use std::path::PathBuf;

/// A library that is there and cannot be loaded.
pub(crate) struct Unloadable {
    pub path: PathBuf,
    pub reason: String,
}

/// Folders to look in, in order: those of `GOLF_NVRTC` (separated as in `PATH`), then the toolkit's.
pub(crate) fn folders() -> Vec<PathBuf> {
    let given = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let toolkit = given("CUDA_PATH").into_iter().flat_map(|path| [path.join("lib64"), path.join("lib")]);
    let named = std::env::var_os("GOLF_NVRTC").unwrap_or_default();
    std::env::split_paths(&named).filter(|path| !path.as_os_str().is_empty()).chain(toolkit).collect()
}

/// Where [`preload`] and the loader look, for messages.
pub(crate) fn searched() -> String {
    let mut searched: Vec<String> = folders().iter().map(|f| format!("`{}`", f.display())).collect();
    searched.push("the loader's path".to_owned());
    searched.join(", ")
}

/// Loads the first file of each folder whose name starts with `stem`.
pub(crate) fn preload(stem: &str) -> Result<(), Unloadable> {
    for folder in folders() {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let mut files: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
        files.retain(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(stem)));
        files.sort();
        let Some(path) = files.into_iter().next() else { continue };
        // SAFETY: as for any library that the loader would find by itself.
        let library =
            unsafe { Library::new(&path) }.map_err(|error| Unloadable { path, reason: error.to_string() })?;
        std::mem::forget(library);
    }
    Ok(())
}
