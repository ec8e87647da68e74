//! Kernels as shared libraries: a `.cu` file, the language as C++, and an entry per kernel, compiled once per text and compiler.

#![allow(unsafe_code)]

use super::Emulator;
use crate::cache;
use crate::kernel::{HEADERS, Kernel, Source, Storage};
use golf_core::backend::BackendError;
use libloading::Library;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::rc::Rc;

/// CUDA's language as C++.
const LANGUAGE: &str = include_str!("emulate.h");

/// What stands in for the headers that hold instructions of a GPU.
const INSTRUCTIONS: [(&str, &str); 2] =
    [("shared/mma.cuh", include_str!("mma.cuh")), ("shared/wgmma.cuh", include_str!("wgmma.cuh"))];

/// Results are those of IEEE arithmetic in the order written.
const FLAGS: &[&str] = &[
    "-std=c++17",
    "-O2",
    "-fPIC",
    "-shared",
    "-ffp-contract=off",
    "-fno-strict-aliasing",
    "-U_FORTIFY_SOURCE",
];

impl Emulator {
    /// The library made of the kernel's file, which holds `kernels`.
    pub(super) fn library(
        &mut self,
        kernel: &Kernel,
        storage: Storage,
        kernels: &[&Kernel],
    ) -> Result<Rc<Library>, BackendError> {
        if let Some(library) = self.libraries.get(&(kernel.source.file, storage)) {
            return Ok(Rc::clone(library));
        }
        let path =
            self.built(kernel.source, storage, kernels).map_err(|message| self.failed(kernel, message))?;
        // SAFETY: the library was compiled from this crate's own text; its initializers only construct empty vectors.
        let library =
            unsafe { Library::new(&path) }.map_err(|error| self.failed(kernel, error.to_string()))?;
        let library = Rc::new(library);
        // Libraries of one process share what C++ calls unique: a name that one of them made is used by all, so none may go.
        std::mem::forget(Rc::clone(&library));
        self.libraries.insert((kernel.source.file, storage), Rc::clone(&library));
        Ok(library)
    }

    /// Path of the shared library of `source`, compiled unless the same was compiled before.
    fn built(&self, source: &Source, storage: Storage, kernels: &[&Kernel]) -> Result<PathBuf, String> {
        let entries: String =
            kernels.iter().map(|kernel| format!("GOLF_ENTRY({})\n", kernel.entry)).collect();
        let options: Vec<&str> = [LANGUAGE, &self.version, &entries]
            .into_iter()
            .chain(INSTRUCTIONS.map(|(_, text)| text))
            .chain(FLAGS.iter().copied())
            .chain(storage.define())
            .chain(self.define())
            .collect();
        let folder = cache::folder().map_err(|error| error.to_string())?;
        let path = folder.join(format!("emulated-{}.so", source.digest(&options)));
        if path.exists() {
            return Ok(path);
        }
        let work = tempfile::tempdir_in(&folder).map_err(|error| error.to_string())?;
        self.compile(source, storage, &entries, work.path())?;
        // A rename is atomic: nobody loads half a library.
        std::fs::rename(work.path().join("made.so"), &path).map_err(|error| error.to_string())?;
        Ok(path)
    }

    fn compile(&self, source: &Source, storage: Storage, entries: &str, work: &Path) -> Result<(), String> {
        let write = |name: &str, text: &str| {
            let path = work.join(name);
            let folder = path.parent().unwrap_or(work);
            std::fs::create_dir_all(folder)
                .and_then(|()| std::fs::write(&path, text))
                .map_err(|e| e.to_string())
        };
        HEADERS.iter().try_for_each(|header| write(header.file, header.text))?;
        INSTRUCTIONS.iter().try_for_each(|(name, text)| write(name, text))?;
        write("emulate.h", LANGUAGE)?;
        write(source.file, &format!("{}\n{entries}", source.text))?;
        let output = Command::new(&self.compiler)
            .args(FLAGS)
            .args(storage.define().into_iter().chain(self.define()))
            .args(["-include", "emulate.h", "-I", ".", "-o", "made.so", "-x", "c++", source.file])
            .current_dir(work)
            .output()
            .map_err(|error| error.to_string())?;
        if output.status.success() {
            Ok(())
        } else {
            Err(String::from_utf8_lossy(&output.stderr).into_owned())
        }
    }
}
