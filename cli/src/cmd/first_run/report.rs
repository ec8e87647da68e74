//! The table that a first run ends with.

use crate::cmd::inspect::cap_line;
use comfy_table::Table;
use serde::Serialize;
use std::fmt;
use std::path::PathBuf;

/// A row: something that predicts or compresses the held-out text.
#[derive(Serialize)]
pub struct Line {
    /// What it is.
    pub name: &'static str,
    /// Bits per byte of the held-out text.
    pub bpb: f64,
    /// Tokens scored per second, where there are tokens.
    pub tokens_per_s: Option<f64>,
}

/// Everything that the run found.
#[derive(Serialize)]
pub struct Report {
    /// Rows of the table.
    pub lines: Vec<Line>,
    /// The file.
    pub artifact: PathBuf,
    /// Its size.
    pub artifact_bytes: u64,
    /// Held-out text scored, in bytes.
    pub held_out_bytes: usize,
    /// The same in tokens.
    pub held_out_tokens: u64,
    /// Training speed.
    pub train_tokens_per_s: f64,
    /// Generated lines.
    pub written: Vec<String>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::new();
        let header = ["held-out text", "bits per byte", "tok/s"];
        table.load_style(comfy_table::presets::ASCII_MARKDOWN).set_header(header);
        for line in &self.lines {
            let speed = line.tokens_per_s.map_or(String::new(), |s| format!("{s:.0}"));
            table.add_row([line.name.to_owned(), format!("{:.4}", line.bpb), speed]);
        }
        writeln!(f, "\n{table}")?;
        let (bytes, tokens) = (self.held_out_bytes, self.held_out_tokens);
        writeln!(
            f,
            "\nscored      {bytes} bytes, {tokens} tokens, every byte charged, every target scored once"
        )?;
        writeln!(f, "trained at  {:.0} tok/s", self.train_tokens_per_s)?;
        writeln!(f, "artifact    `{}`", self.artifact.display())?;
        writeln!(f, "            {}", cap_line(self.artifact_bytes))?;
        writeln!(f, "\nit writes:")?;
        self.written.iter().try_for_each(|line| writeln!(f, "  {line}"))
    }
}
