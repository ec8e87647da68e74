//! `golf-train` and others on the software CUDA device, which is built where it is not.

use crate::site::{ARTIFACT, Site, stderr};
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

/// The project's root.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The folder of the libraries, built once; `None` without a C++ compiler. What they compile stays for the next run, and is
/// compiled here, so that tests do not compile the same beside each other.
pub fn device() -> Option<&'static Path> {
    static BUILT: OnceLock<Option<PathBuf>> = OnceLock::new();
    let build = || {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("software-cuda");
        let output =
            Command::new(root().join("trainer-cuda/software/build.sh")).arg(&folder).output().unwrap();
        match output.status.code() {
            Some(0) => {
                let training = Training::new(&folder);
                std::thread::scope(|scope| {
                    for precision in ["f32", "bf16"] {
                        let more = ["--precision", precision, "--iterations", "1"];
                        let mut command = training.command(precision, &more);
                        scope.spawn(move || succeeded(&mut command));
                    }
                });
                Some(folder)
            }
            Some(3) => None,
            _ => panic!("{}", stderr(&output)),
        }
    };
    let built = BUILT.get_or_init(build).as_deref();
    if built.is_none() {
        println!("SKIPPED: no C++ compiler for the software CUDA device");
    }
    built
}

/// A command on the software device.
pub fn on_device(
    device: &Path,
    program: &str,
    arguments: impl IntoIterator<Item = impl AsRef<OsStr>>,
) -> Command {
    let mut command = Command::new(root().join("trainer-cuda/software/run.sh"));
    command.arg(program).args(arguments).stdin(Stdio::null());
    command.env("GOLF_SOFTWARE_CUDA", device).env("GOLF_SOFTWARE_CUDA_COUNTS", "yes");
    command.env_remove("CUDA_VISIBLE_DEVICES");
    command
}

pub fn succeeded(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    output
}

/// A training of the smallest model.
pub struct Training<'a> {
    device: &'a Path,
    pub site: Site,
}

impl Training<'_> {
    pub fn new(device: &Path) -> Training<'_> {
        Training { device, site: Site::new() }
    }

    pub fn command(&self, out: &str, more: &[&str]) -> Command {
        let on = ["--device", "cuda", "--checkpoint-every", "never", "--resume", "off", "--iterations", "4"];
        let arguments = self.site.arguments(out, &[&on[..], more].concat());
        on_device(self.device, env!("CARGO_BIN_EXE_golf-train"), arguments)
    }

    pub fn artifact(&self, out: &str) -> Vec<u8> {
        fs::read(self.site.path(out).join(ARTIFACT)).unwrap()
    }

    /// Runs to the end; the artifact and what was said.
    pub fn finish(&self, out: &str, more: &[&str]) -> (Vec<u8>, String) {
        let said = stderr(&succeeded(&mut self.command(out, more)));
        (self.artifact(out), said)
    }
}

/// How many kernels, functions of the library and graphs the driver counted.
pub fn counts(said: &str) -> [u64; 3] {
    let line = said.lines().find(|line| line.ends_with(" graphs")).unwrap_or_else(|| panic!("{said}"));
    let numbers: Vec<u64> =
        line.split(|c: char| !c.is_ascii_digit()).filter_map(|n| n.parse().ok()).collect();
    numbers.try_into().unwrap_or_else(|_| panic!("{line}"))
}
