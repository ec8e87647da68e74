//! Compiled code of the kernels: which files of it there are, what each is called, and where it is looked for.
//!
//! Invariant: a file is named by the digest of everything that decides what is in it (source, headers, options) and by its
//! architecture. Code of another version has other names, so a folder may hold any number of versions and none runs the code
//! of another. The names are made in one place, for those who look code up and for those who make it ahead.

use crate::cache;
use crate::kernel::{Kernel, Source, Storage};
use crate::kernels;
use crate::nvrtc::{NvrtcError, OPTIONS};
use std::collections::BTreeMap;
use thiserror::Error;

/// A source in one of its forms: what is compiled at once.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Unit {
    /// The source.
    pub source: &'static Source,
    /// What activations are for it.
    pub storage: Storage,
}

/// Code that is nowhere and cannot be made here.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CodeError {
    /// There is no compiler.
    #[error("code of `{file}` for `{arch}` is not in {searched}; {source}")]
    Absent {
        /// The source's name.
        file: &'static str,
        /// The architecture.
        arch: String,
        /// Folders where it was looked for.
        searched: String,
        /// What is wrong with the compiler.
        source: Box<NvrtcError>,
    },
    /// The compiler failed.
    #[error(transparent)]
    Compiler(#[from] NvrtcError),
}

impl Unit {
    /// Name of its code for `arch`, such as `sm_90`.
    pub fn file_name(&self, arch: &str) -> String {
        let target = self.source.target(arch);
        let arch = target.as_deref().unwrap_or(arch);
        let options: Vec<&str> = OPTIONS.iter().copied().chain(self.storage.define()).chain([arch]).collect();
        format!("{}-{arch}.cubin", self.source.digest(&options))
    }

    /// Its code for `arch`, where it was made before.
    pub(crate) fn load(&self, arch: &str) -> Option<Vec<u8>> {
        cache::load(&self.file_name(arch))
    }

    /// Whether there is code of it for `arch`.
    pub fn is_made(&self, arch: &str) -> bool {
        let name = self.file_name(arch);
        cache::folders().iter().any(|folder| folder.join(&name).is_file())
    }

    /// The error for code that is nowhere, where there is no compiler because of `source`.
    pub(crate) fn absent(&self, arch: &str, source: NvrtcError) -> CodeError {
        let folders: Vec<String> = cache::folders().iter().map(|f| format!("`{}`", f.display())).collect();
        let (arch, searched) = (arch.to_owned(), folders.join(" or "));
        CodeError::Absent { file: self.source.file, arch, searched, source: Box::new(source) }
    }
}

/// Every source that runs on `arch` with its kernels, in each form that plans ask for: floats always, bf16 where a kernel has
/// activations.
pub fn units(arch: &str) -> Vec<(Unit, Vec<&'static Kernel>)> {
    let mut sources: BTreeMap<&str, Vec<&'static Kernel>> = BTreeMap::new();
    for kernel in kernels::all().into_iter().filter(|kernel| kernel.source.target(arch).is_some()) {
        sources.entry(kernel.source.file).or_default().push(kernel);
    }
    let mut units = Vec::new();
    for kernels in sources.into_values() {
        let two_forms = kernels.iter().any(|kernel| kernel.has_activations());
        for storage in [Some(Storage::Full), two_forms.then_some(Storage::Half)].into_iter().flatten() {
            units.push((Unit { source: kernels[0].source, storage }, kernels.clone()));
        }
    }
    units
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kernel_is_in_every_form_that_a_plan_may_ask_for() {
        let units = units("sm_90");
        for kernel in kernels::all() {
            for storage in [Storage::Full, Storage::Half] {
                let unit = Unit { source: kernel.source, storage };
                let found = units.iter().any(|(u, kernels)| *u == unit && kernels.contains(&kernel));
                assert!(found || storage == Storage::Half && !kernel.has_activations(), "`{}`", kernel.entry);
            }
        }
    }

    #[test]
    fn every_unit_has_a_name_of_its_own_on_every_architecture() {
        let of = |arch| units(arch).into_iter().map(move |(unit, _)| unit.file_name(arch));
        let mut names: Vec<String> = of("sm_80").chain(of("sm_90")).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    #[test]
    fn instructions_of_hopper_are_compiled_for_hopper_alone() {
        let of = |arch| units(arch).into_iter().filter(|(unit, _)| unit.source.is_for_hopper());
        assert!(["sm_80", "sm_89", "sm_100"].into_iter().all(|arch| of(arch).next().is_none()));
        assert!(of("sm_90").all(|(unit, _)| unit.file_name("sm_90").ends_with("-sm_90a.cubin")));
        for (unit, _) in units("sm_90") {
            let uses = ["wgmma.cuh\"", "warpgroup.cuh\""].iter().any(|name| unit.source.text.contains(name));
            assert_eq!(uses, unit.source.is_for_hopper(), "`{}`", unit.source.file);
        }
    }

    #[test]
    fn code_that_cannot_be_had_says_where_it_was_looked_for_and_what_helps() {
        let (unit, _) = units("sm_90")[0];
        let missing = NvrtcError::Missing { searched: "the loader's path".to_owned() };
        let told = unit.absent("sm_90", missing).to_string();
        let folder = cache::folders().pop().expect("there is always the cache").display().to_string();
        assert!(told.contains(&folder), "{told}");
        for part in [unit.source.file, "`sm_90`", "the loader", "`golf kernels --out DIR`", "GOLF_KERNELS"] {
            assert!(told.contains(part), "no {part} in: {told}");
        }
    }
}
