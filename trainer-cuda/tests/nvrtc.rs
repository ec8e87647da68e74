//! NVIDIA's compiler takes every kernel for the architectures that train. It needs no GPU; where it is not installed the
//! test says so, and fails if `REQUIRE_NVRTC` is set.

use golf_cuda::{
    Filled, HEADERS, Kernel, Nvrtc, NvrtcError, Source, Storage, Usage, compile_ahead, kernels, units,
};
use std::fs;

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

#[test]
fn products_of_warpgroups_go_on_beside_the_threads() {
    let Some(nvrtc) = nvrtc("products_of_warpgroups_go_on_beside_the_threads") else { return };
    let mut compiled = 0;
    for (unit, _) in units("sm_90").into_iter().filter(|(unit, _)| unit.source.is_for_hopper()) {
        let code = nvrtc.compile(unit.source, "sm_90", unit.storage).unwrap_or_else(|e| panic!("{e}"));
        assert!(!code.serializes_products(), "`{}`: {}", unit.source.file, code.log);
        compiled += 1;
    }
    assert_eq!(compiled, 4, "two files in two forms");
}

/// Fills a folder with the code of every file for `arch`, for both forms of activations where its kernels know any. What a
/// device looks up is then there, and nothing is compiled twice.
fn all_fit(test: &str, arch: &str) {
    let Some(nvrtc) = nvrtc(test) else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let fill = || compile_ahead(&[arch.to_owned()], folder.path(), threads).unwrap_or_else(|e| panic!("{e}"));
    let Filled { codes, compiler } = fill();
    assert_eq!(compiler, Some(nvrtc.version));
    for code in &codes {
        let made = code.made.as_ref().expect("the folder was empty");
        for (kernel, usage) in code.kernels.iter().zip(&made.usages) {
            fits(
                kernel,
                arch,
                usage.unwrap_or_else(|| panic!("the compiler says nothing of `{}`", kernel.entry)),
            );
        }
    }
    for (i, (unit, _)) in units(arch).into_iter().enumerate() {
        let stored =
            fs::read(folder.path().join(unit.file_name(arch))).expect("the name that a device asks for");
        // Compiled beside others it is what it is when compiled alone; its digest stands behind it.
        if i < 3 {
            let alone = nvrtc.compile(unit.source, arch, unit.storage).expect("it compiled before");
            assert!(stored.starts_with(&alone.code), "`{}`", unit.source.file);
        }
    }
    // What is missing is made, and nothing else.
    let (lost, kept) = (folder.path().join(&codes[0].name), &codes[1..]);
    fs::remove_file(&lost).expect("it was made");
    let again = fill();
    assert!(again.codes[0].made.is_some() && lost.is_file());
    assert!(
        again.codes[1..].iter().zip(kept).all(|(now, then)| now.made.is_none() && now.bytes == then.bytes)
    );
    assert_eq!(fill().compiler, None, "nobody asks for the compiler where everything is there");
}

/// Checks what the compiler said of `kernel`: nothing is spilled, a block has registers enough, and shared memory is within
/// what a launch gets that asks for no more.
fn fits(kernel: &Kernel, arch: &str, usage: Usage) {
    let who = format!("`{}` for {arch}: {usage:?}", kernel.entry);
    assert_eq!(usage.spilled, 0, "{who}");
    // Registers are dealt in eights, and a block's warps to four parts of a multiprocessor.
    let (registers, threads) = (usage.registers.next_multiple_of(8), kernel.threads.next_multiple_of(128));
    assert!(registers * threads <= REGISTERS, "{who}");
    assert!(usage.shared <= SHARED, "{who}");
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
