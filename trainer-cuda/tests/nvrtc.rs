//! NVIDIA's compiler takes every kernel for the architectures that train. It needs no GPU; where it is not installed the
//! test says so, and fails if `REQUIRE_NVRTC` is set.

use golf_cuda::{HEADERS, Nvrtc, NvrtcError, Source, kernels};
use std::collections::BTreeMap;

const ARCHITECTURES: [&str; 2] = ["sm_80", "sm_90"];

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
fn every_kernel_compiles_for_ampere_and_hopper_without_spilling_registers() {
    let Some(nvrtc) = nvrtc("every_kernel_compiles_for_ampere_and_hopper_without_spilling_registers") else {
        return;
    };
    let mut entries: BTreeMap<&str, (&Source, Vec<&str>)> = BTreeMap::new();
    for kernel in kernels::all() {
        entries.entry(kernel.source.file).or_insert((kernel.source, Vec::new())).1.push(kernel.entry);
    }
    for arch in ARCHITECTURES {
        for (source, names) in entries.values() {
            let log = nvrtc.compile(source, arch).unwrap_or_else(|error| panic!("{error}")).log;
            for name in names {
                let found = log.contains(&format!("entry function '{name}' for '{arch}'"));
                assert!(found, "`{}` for {arch} holds no `{name}`:\n{log}", source.file);
            }
            let spills =
                log.lines().filter(|line| line.contains("spill") && !line.contains(" 0 bytes spill stores"));
            assert_eq!(spills.collect::<Vec<_>>(), [""; 0], "`{}` for {arch}:\n{log}", source.file);
        }
    }
}

#[test]
fn a_rejected_source_is_named_with_what_the_compiler_said() {
    let Some(nvrtc) = nvrtc("a_rejected_source_is_named_with_what_the_compiler_said") else { return };
    let source =
        Source { file: "wrong.cu", text: "#include \"shared/reduce.cuh\"\nint f() { return unknown; }\n" };
    let error = nvrtc.compile(&source, "sm_90").expect_err("it uses an unknown name").to_string();
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
