//! Where a run's events go: `metrics.jsonl`, and the terminal as a progress bar, plain lines or JSON.

use golf_core::train::Recipe;
use golf_core::train::metrics::{Event, Sink};
use golf_core::train::schedule::budget_fraction;
use indicatif::{ProgressBar, ProgressStyle};
use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::{Duration, Instant};

/// File name of the events.
const METRICS: &str = "metrics.jsonl";
/// Longest silence on a terminal without a bar.
const SILENCE: Duration = Duration::from_secs(30);
/// First steps of a run, all of which are logged, as the challenge's script does.
const FIRST_STEPS: u64 = 10;
/// Resolution of the progress bar.
const TICKS: u64 = 1000;

/// What the terminal shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// JSON lines.
    pub json: bool,
    /// Warnings and the end only.
    pub quiet: bool,
}

/// The sink of a run.
pub struct Output {
    /// When the program started; `None` once its first step is done.
    started: Option<Instant>,
    /// `None` once it cannot be written.
    metrics: Option<File>,
    style: Style,
    bar: Option<ProgressBar>,
    recipe: Recipe,
    log_every: u64,
    last_line: Instant,
    /// Time and tokens since the first step of this process, for the rate.
    pace: Option<(f64, u64)>,
    tokens: u64,
    smooth_loss: Option<f64>,
    /// Predicted bytes of the artifact.
    size: Option<u64>,
}

impl Output {
    /// Opens `metrics.jsonl` in `out` for appending, without a line that a killed process left unfinished. The program runs
    /// since `started`.
    pub fn open(
        out: &Path,
        style: Style,
        recipe: &Recipe,
        log_every: u64,
        started: Instant,
    ) -> io::Result<Output> {
        let metrics = Some(append_whole_lines(&out.join(METRICS))?);
        let bar = (!style.json && !style.quiet && io::stderr().is_terminal()).then(|| {
            let template = "{bar:30} {msg}";
            let style = ProgressStyle::with_template(template).expect("the template is well formed");
            ProgressBar::new(TICKS).with_style(style)
        });
        let (recipe, last_line) = (recipe.clone(), Instant::now());
        Ok(Output {
            started: Some(started),
            metrics,
            style,
            bar,
            recipe,
            log_every,
            last_line,
            pace: None,
            tokens: 0,
            smooth_loss: None,
            size: None,
        })
    }

    /// Takes the bar away.
    pub fn close(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }

    fn write(&mut self, event: &Event) {
        let Some(file) = &mut self.metrics else { return };
        if let Err(error) = writeln!(file, "{}", event.json()) {
            self.metrics = None;
            self.line(&format!("warning: no more events in `{METRICS}`: {error}"));
        }
    }

    fn line(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| println!("{line}")),
            None => println!("{line}"),
        }
    }

    /// Whether a step's line is due without a bar.
    fn due(&mut self, step: u64) -> bool {
        let due = step <= FIRST_STEPS
            || step == self.recipe.iterations
            || self.log_every > 0 && step.is_multiple_of(self.log_every)
            || self.last_line.elapsed() >= SILENCE;
        if due {
            self.last_line = Instant::now();
        }
        due
    }

    fn progress(&mut self, step: u64, loss: f64, tokens: usize, train_ms: f64) {
        let (since, before) = *self.pace.get_or_insert((train_ms, self.tokens));
        self.tokens += tokens as u64;
        let smooth = self.smooth_loss.map_or(loss, |mean| 0.9 * mean + 0.1 * loss);
        self.smooth_loss = Some(smooth);
        let Some(bar) = &self.bar else { return };
        let fraction =
            budget_fraction(&self.recipe, step, train_ms).max(step as f64 / self.recipe.iterations as f64);
        let rate = (self.tokens - before - tokens as u64) as f64 / ((train_ms - since) / 1e3).max(1e-3);
        let left = train_ms * (1.0 - fraction).max(0.0) / fraction.max(1e-6);
        let budget = match self.recipe.cap_ms() {
            Some(cap) => format!("{}/{}", clock(train_ms), clock(cap)),
            None => clock(train_ms),
        };
        bar.set_position((fraction.min(1.0) * TICKS as f64) as u64);
        bar.set_message(format!(
            "step {step}  loss {smooth:.4}{}  {rate:.0} tok/s  {budget}  ETA {}",
            self.size.map_or(String::new(), |bytes| format!("  ~{:.2} MB", bytes as f64 / 1e6)),
            clock(left)
        ));
    }
}

impl Sink for Output {
    fn event(&mut self, event: &Event) {
        self.tell(event);
        if let Event::Step { step, .. } = *event
            && let Some(started) = self.started.take()
        {
            self.tell(&Event::FirstStep { step, startup_ms: started.elapsed().as_secs_f64() * 1e3 });
        }
    }
}

impl Output {
    fn tell(&mut self, event: &Event) {
        self.write(event);
        if self.style.json {
            println!("{}", event.json());
            return;
        }
        match event {
            Event::Step { step, loss, tokens, train_ms, .. } => {
                self.progress(*step, *loss, *tokens, *train_ms);
                if !self.style.quiet && self.bar.is_none() && self.due(*step) {
                    self.line(&event.log_line());
                }
            }
            Event::Size { predicted_bytes, .. } => {
                self.size = Some(*predicted_bytes);
                if !self.style.quiet && self.bar.is_none() {
                    self.line(&event.log_line());
                }
            }
            Event::Warning { .. } => match &self.bar {
                Some(bar) => bar.suspend(|| eprintln!("{}", event.log_line())),
                None => eprintln!("{}", event.log_line()),
            },
            Event::Artifact { .. } | Event::Averaged { .. } | Event::Final { .. } => {
                self.line(&event.log_line())
            }
            _ if !self.style.quiet => self.line(&event.log_line()),
            _ => {}
        }
    }
}

/// `m:ss` of milliseconds.
fn clock(ms: f64) -> String {
    let seconds = (ms / 1e3).round() as u64;
    match seconds / 3600 {
        0 => format!("{}:{:02}", seconds / 60, seconds % 60),
        hours => format!("{hours}:{:02}:{:02}", seconds / 60 % 60, seconds % 60),
    }
}

fn append_whole_lines(path: &Path) -> io::Result<File> {
    let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    let whole = bytes.iter().rposition(|&b| b == b'\n').map_or(0, |at| at + 1);
    file.set_len(whole as u64)?;
    file.seek(SeekFrom::End(0))?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_last_line_is_cut_before_events_are_appended() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(METRICS);
        std::fs::write(&path, "{\"a\":1}\n{\"b\":").unwrap();
        writeln!(append_whole_lines(&path).unwrap(), "{{\"c\":3}}").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "{\"a\":1}\n{\"c\":3}\n");
    }

    #[test]
    fn times_read_like_a_clock() {
        assert_eq!([0.0, 61_400.0, 3_661_000.0].map(clock), ["0:00", "1:01", "1:01:01"]);
    }
}
