//! NVIDIA's libraries beside the driver, looked for in the folders that this machine's environment names, then where toolkits
//! and the system's loader have them.
//!
//! Invariant: what a folder has is loaded by its path. By name a loader may find another version first, whatever a user named.
//! What is loaded stays loaded: these libraries keep threads, which do not survive their code.

#![allow(unsafe_code)]

use libloading::Library;
use std::fs;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Why there is no library.
#[derive(Debug, Error)]
pub(crate) enum LoadError {
    /// It is nowhere.
    #[error("it was not found in {searched}")]
    Missing { searched: String },
    /// It is there and cannot be loaded.
    #[error("`{}` cannot be loaded: {reason}", path.display())]
    Unloadable { path: PathBuf, reason: String },
}

fn given(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// Folders to look in, in order: those of `GOLF_NVRTC` (separated as in `PATH`), the toolkit's that is named, what Python
/// packages brought into the environment that is active, the toolkit's own place.
fn folders() -> Vec<PathBuf> {
    let named = std::env::var_os("GOLF_NVRTC").unwrap_or_default();
    let mut folders: Vec<PathBuf> =
        std::env::split_paths(&named).filter(|path| !path.as_os_str().is_empty()).collect();
    for toolkit in ["CUDA_PATH", "CUDA_HOME"].into_iter().filter_map(given) {
        folders.extend([toolkit.join("lib64"), toolkit.join("lib")]);
    }
    for environment in ["VIRTUAL_ENV", "CONDA_PREFIX"].into_iter().filter_map(given) {
        folders.extend(packaged(&environment.join("lib")));
    }
    folders.push(PathBuf::from("/usr/local/cuda/lib64"));
    folders
}

/// Where conda has libraries under `lib`, and where wheels have them: `python3.12/site-packages/nvidia/cu13/lib`.
fn packaged(lib: &Path) -> Vec<PathBuf> {
    let wheels = entries(lib)
        .into_iter()
        .filter(|path| is_called(path, "python"))
        .flat_map(|python| entries(&python.join("site-packages/nvidia")))
        .map(|package| package.join("lib"));
    [lib.to_path_buf()].into_iter().chain(wheels).collect()
}

/// What is in a folder, in order; nothing where there is none.
fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

fn is_called(path: &Path, stem: &str) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(stem))
}

/// The first file of the folder whose name begins with `stem`.
fn file_in(folder: &Path, stem: &str) -> Option<PathBuf> {
    entries(folder).into_iter().find(|path| is_called(path, stem))
}

/// Where libraries are looked for, for messages.
fn searched() -> String {
    let there = folders().into_iter().filter(|folder| folder.is_dir());
    let mut searched: Vec<String> = there.map(|folder| format!("`{}`", folder.display())).collect();
    searched.push("the loader's path".to_owned());
    searched.join(", ")
}

/// Loads the library whose file's name begins with `stem` from the first folder that has it, after what it needs by name
/// from the same one; otherwise by the first of `names` that the system's loader knows.
pub(crate) fn load(stem: &str, needs: Option<&str>, names: &[&str]) -> Result<&'static Library, LoadError> {
    for folder in folders() {
        if let Some(path) = file_in(&folder, stem) {
            if let Some(needed) = needs.and_then(|needs| file_in(&folder, needs)) {
                open(&needed)?;
            }
            return open(&path);
        }
    }
    let found = names.iter().find_map(|name| open(Path::new(name)).ok());
    found.ok_or_else(|| LoadError::Missing { searched: searched() })
}

fn open(path: &Path) -> Result<&'static Library, LoadError> {
    // SAFETY: loading runs the library's initializers; NVIDIA's have no preconditions.
    let library = unsafe { Library::new(path) };
    let library = library
        .map_err(|error| LoadError::Unloadable { path: path.to_path_buf(), reason: error.to_string() })?;
    Ok(Box::leak(Box::new(library)))
}

/// The function `name` of `library`.
///
/// # Safety
///
/// `F` is the type of a function that the library's header declares under this name.
pub(crate) unsafe fn function<F: Copy>(
    library: &'static Library,
    name: &str,
) -> Result<F, libloading::Error> {
    // SAFETY: the caller vouches for the type.
    unsafe { library.get::<F>(name.as_bytes()) }.map(|symbol| *symbol)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_of_wheels_are_found_in_every_package() {
        let root = tempfile::tempdir().expect("a folder");
        let lib = root.path().join("lib");
        let nvidia = lib.join("python3.12/site-packages/nvidia");
        for folder in ["cu13/lib", "nccl/lib"] {
            fs::create_dir_all(nvidia.join(folder)).expect("it is created");
        }
        for file in ["libnvrtc-builtins.so.13.0", "libnvrtc.so.13", "libcublasLt.so.13"] {
            fs::write(nvidia.join("cu13/lib").join(file), "").expect("it is written");
        }
        let folders = packaged(&lib);
        assert_eq!(folders, [lib, nvidia.join("cu13/lib"), nvidia.join("nccl/lib")]);
        let found = |stem| folders.iter().find_map(|folder| file_in(folder, stem));
        assert_eq!(found("libnvrtc.so"), Some(nvidia.join("cu13/lib/libnvrtc.so.13")));
        assert_eq!(found("libnccl.so.2"), None);
    }

    #[test]
    fn a_library_that_is_nowhere_says_where_it_was_looked_for() {
        let error =
            load("libnone-of-this-name.so", None, &["libnone-of-this-name.so.1"]).expect_err("it is not");
        assert!(error.to_string().ends_with("the loader's path"), "{error}");
    }
}
