//! A folder with shards and runs, and `golf-train` started in it.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

/// File name of what a run writes.
pub const ARTIFACT: &str = "artifact.bin";

/// A folder with shards and runs.
pub struct Site {
    folder: tempfile::TempDir,
}

/// A shard file of `tokens`.
pub fn shard(tokens: &[u16]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for word in [20_240_520i32, 1, tokens.len() as i32].into_iter().chain([0; 253]) {
        bytes.extend(word.to_le_bytes());
    }
    bytes.extend(tokens.iter().flat_map(|t| t.to_le_bytes()));
    bytes
}

/// Tokens with some structure, below 64.
pub fn tokens(seed: u64, count: usize) -> Vec<u16> {
    let mut state = seed;
    let next = |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((state >> 60) * 4 + (state >> 33) % 3) as u16 % 64
    };
    (0..count).map(next).collect()
}

impl Site {
    pub fn new() -> Site {
        let site = Site { folder: tempfile::tempdir().unwrap() };
        fs::create_dir(site.path("data")).unwrap();
        fs::write(site.path("data/t_train_000000.bin"), shard(&tokens(1, 1500))).unwrap();
        fs::write(site.path("data/t_train_000001.bin"), shard(&tokens(2, 700))).unwrap();
        fs::write(site.path("data/t_val_000000.bin"), shard(&tokens(3, 300))).unwrap();
        site
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The arguments of a run into `out`.
    pub fn arguments(&self, out: &str, more: &[&str]) -> Vec<String> {
        let (data, out) = (self.path("data"), self.path(out));
        let fixed =
            ["--preset", "nano", "--device", "reference", "--checkpoint-every", "3", "--resume", "auto"];
        let paths =
            ["--data".to_owned(), data.display().to_string(), "--out".to_owned(), out.display().to_string()];
        fixed.iter().chain(more).map(|s| (*s).to_owned()).chain(paths).collect()
    }

    pub fn command(&self, out: &str, more: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_golf-train"));
        command.args(self.arguments(out, more)).env_clear().stdin(Stdio::null());
        command
    }

    pub fn run(&self, out: &str, more: &[&str]) -> Output {
        self.command(out, more).output().unwrap()
    }

    /// Runs to the end; the artifact.
    pub fn finish(&self, out: &str, more: &[&str]) -> Vec<u8> {
        let output = self.run(out, more);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        fs::read(self.path(out).join(ARTIFACT)).unwrap()
    }

    /// Starts a run and waits until it has logged step `step`.
    pub fn start_until(&self, out: &str, more: &[&str], step: u64) -> Child {
        let mut child =
            self.command(out, more).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let wanted = format!("step:{step}/");
        let seen = lines.any(|line| line.is_ok_and(|l| l.starts_with(&wanted) && l.contains("train_loss")));
        assert!(seen, "step {step} was not reached");
        // The pipe must stay open: a process that cannot write its log would end of another cause.
        std::thread::spawn(move || lines.for_each(drop));
        child
    }

    pub fn checkpoints(&self, out: &str) -> Vec<String> {
        let mut names: Vec<String> = names_in(&self.path(out));
        names.retain(|name| name.starts_with("checkpoint-"));
        names.sort();
        names
    }
}

pub fn names_in(folder: &Path) -> Vec<String> {
    fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect()
}

pub fn signal(child: &Child, name: &str) {
    let status = Command::new("kill").args([name, &child.id().to_string()]).status().unwrap();
    assert!(status.success(), "kill {name}");
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}
