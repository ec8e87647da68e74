//! NVIDIA's compiler takes every kernel for the architectures that train. It needs no GPU; where it is not installed the
//! test says so, and fails if `REQUIRE_NVRTC` is set.

use golf_cuda::{HEADERS, Kernel, Nvrtc, NvrtcError, Source, Storage, kernels};
use std::collections::BTreeMap;

/// Registers of a block.
const REGISTERS: usize = 65_536;

/// Bytes of shared memory that a kernel gets without asking the driver for more.
const SHARED: usize = 48 * 1024;

/// The compiler, unless this machine has none.
fn nvrtc(test: &str) -> Option<Nvrtc> {
    match Nvrtc::load() {
        Ok(nvrtc) => Some(nvrtc),
        Err(reason @ NvrtcError::Missing { .. }) if std::env::var_os("REQUIRE_NVRTC").is_none() => {
            println!("SKIPPED {test}: {reason}");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn every_kernel_compiles_for_ampere_and_fits() {
    all_fit("every_kernel_compiles_for_ampere_and_fits", "sm_80");
}

#[test]
fn every_kernel_compiles_for_hopper_and_fits() {
    all_fit("every_kernel_compiles_for_hopper_and_fits", "sm_90");
}

/// Compiles every file for `arch`, for both forms of activations where its kernels know any.
fn all_fit(test: &str, arch: &str) {
    let Some(nvrtc) = nvrtc(test) else { return };
    let mut entries: BTreeMap<&str, (&Source, Vec<&Kernel>)> = BTreeMap::new();
    for kernel in kernels::all() {
        entries.entry(kernel.source.file).or_insert((kernel.source, Vec::new())).1.push(kernel);
    }
    for (source, kernels) in entries.values() {
        let two_forms = kernels.iter().any(|kernel| kernel.has_activations());
        let storages = [Some(Storage::Full), two_forms.then_some(Storage::Half)];
        for storage in storages.into_iter().flatten() {
            let log = nvrtc.compile(source, arch, storage).unwrap_or_else(|error| panic!("{error}")).log;
            for kernel in kernels {
                fits(kernel, arch, &log);
            }
        }
    }
}

/// Checks what the compiler said of `kernel`: nothing is spilled, a block has registers enough, and shared memory is within
/// what a launch gets that asks for no more.
fn fits(kernel: &Kernel, arch: &str, log: &str) {
    let named = format!("entry function '{}' for '{arch}'", kernel.entry);
    let (_, said) = log.split_once(&named).unwrap_or_else(|| panic!("no {named}:\n{log}"));
    let said = said.split("entry function").next().unwrap_or(said);
    assert!(
        said.contains(" 0 bytes spill stores, 0 bytes spill loads"),
        "`{}` spills for {arch}:{said}",
        kernel.entry
    );
    let registers = number_before(said, " registers").unwrap_or_else(|| panic!("{named}:{said}"));
    assert!(registers * kernel.threads <= REGISTERS, "`{}` for {arch}: {registers} registers", kernel.entry);
    // Without shared memory the compiler does not mention it.
    let shared = number_before(said, " bytes smem").unwrap_or(0);
    assert!(shared <= SHARED, "`{}` for {arch}: {shared} bytes of shared memory", kernel.entry);
}

/// The number that stands before `words`.
fn number_before(text: &str, words: &str) -> Option<usize> {
    let (before, _) = text.split_once(words)?;
    before.rsplit(' ').next()?.parse().ok()
}

#[test]
fn a_rejected_source_is_named_with_what_the_compiler_said() {
    let Some(nvrtc) = nvrtc("a_rejected_source_is_named_with_what_the_compiler_said") else { return };
    let source =
        Source { file: "wrong.cu", text: "#include \"shared/reduce.cuh\"\nint f() { return unknown; }\n" };
    let error =
        nvrtc.compile(&source, "sm_90", Storage::Full).expect_err("it uses an unknown name").to_string();
    assert!(
        error.contains("`wrong.cu` does not compile for `sm_90`") && error.contains("unknown"),
        "{error}"
    );
}

#[test]
fn every_include_names_a_header() {
    let names: Vec<&str> = HEADERS.iter().map(|header| header.file).collect();
    let sources = kernels::all().into_iter().map(|kernel| kernel.source);
    for source in sources.chain(HEADERS) {
        let includes = source.text.lines().filter_map(|line| line.strip_prefix("#include \""));
        for include in includes {
            let name = include.trim_end_matches('"');
            assert!(names.contains(&name), "`{}` includes `{name}`", source.file);
        }
    }
}

#[test]
fn names_of_kernels_are_unique() {
    let mut names: Vec<&str> = kernels::all().into_iter().map(|kernel| kernel.entry).collect();
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count);
}
