//! What a run tells while it goes: typed events, their JSON lines, and the challenge's own log lines.
//!
//! # `metrics.jsonl`
//!
//! One JSON object per line, in order of time, every one with `schema_version` (1) and `event`. Fields are only ever added
//! within a version. Times are milliseconds of the budget clock; losses are nats per token. After a crash the events
//! between the last checkpoint and the crash appear twice: those after a `resume` count.
//!
//! | `event` | fields |
//! |---|---|
//! | `start` | `config_hash`, `config` (model and recipe), `data`, `parameters`, `backend`, `version`, `train_tokens`, `ranks` |
//! | `resume` | `step`, `train_ms`, `path` |
//! | `step` | `step` (done), `iterations`, `loss`, `grad_norm`, `lr_scale`, `momentum`, `tokens` (of the step), `train_ms`, `fake_quant` |
//! | `first_step` | `step`, `startup_ms` (wall clock from the start of the program to the end of its first step) |
//! | `fake_quant` | `step` |
//! | `validation` | `step`, `iterations`, `loss`, `bpb` (or null), `tokens`, `bytes` (or null), `train_ms` |
//! | `checkpoint` | `step`, `path`, `bytes` |
//! | `size` | `step`, `predicted_bytes` (of the artifact, if it were written now) |
//! | `warning` | `step`, `message` |
//! | `interrupted` | `step`, `train_ms` |
//! | `stop` | `step`, `iterations`, `reason` (`iterations`, `wallclock_cap`), `train_ms` |
//! | `artifact` | `path`, `bytes`, `content_hash`, `weights` (`ema`, `swa`, `live`), `used` (ms by phase) |
//! | `averaged` | `weights` (`ema`, `swa`), `loss`, `bpb`, `tokens`, `bytes`, `used`: the validation loss of the averages that the artifact was made of, before they were quantized; none where it was made of live weights |
//! | `final` | `loss`, `bpb`, `tokens`, `bytes`, `used`: the validation loss of the artifact as read back |

use super::clock::Used;
use serde::Serialize;
use serde_json::Value;

/// Version of the schema above.
pub const SCHEMA_VERSION: u32 = 1;

/// Why a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StopReason {
    /// All iterations are done.
    Iterations,
    /// The wall-clock cap is reached.
    WallclockCap,
}

/// An event; the fields are described in the module's table.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[allow(missing_docs, reason = "the module's table documents every field")]
pub enum Event {
    Start {
        config_hash: String,
        config: Value,
        data: String,
        parameters: usize,
        backend: String,
        version: String,
        train_tokens: u64,
        ranks: usize,
    },
    Resume {
        step: u64,
        train_ms: f64,
        path: String,
    },
    Step {
        step: u64,
        iterations: u64,
        loss: f64,
        grad_norm: f64,
        lr_scale: f64,
        momentum: f64,
        tokens: usize,
        train_ms: f64,
        fake_quant: bool,
    },
    FirstStep {
        step: u64,
        startup_ms: f64,
    },
    FakeQuant {
        step: u64,
    },
    Validation {
        step: u64,
        iterations: u64,
        loss: f64,
        bpb: Option<f64>,
        tokens: usize,
        bytes: Option<u64>,
        train_ms: f64,
    },
    Checkpoint {
        step: u64,
        path: String,
        bytes: u64,
    },
    Size {
        step: u64,
        predicted_bytes: u64,
    },
    Warning {
        step: u64,
        message: String,
    },
    Interrupted {
        step: u64,
        train_ms: f64,
    },
    Stop {
        step: u64,
        iterations: u64,
        reason: StopReason,
        train_ms: f64,
    },
    Artifact {
        path: String,
        bytes: u64,
        content_hash: String,
        weights: &'static str,
        used: Used,
    },
    Averaged {
        weights: &'static str,
        loss: f64,
        bpb: Option<f64>,
        tokens: usize,
        bytes: Option<u64>,
        used: Used,
    },
    Final {
        loss: f64,
        bpb: Option<f64>,
        tokens: usize,
        bytes: Option<u64>,
        used: Used,
    },
}

/// Receives events in order.
pub trait Sink {
    /// Takes one event.
    fn event(&mut self, event: &Event);
}

impl<F: FnMut(&Event)> Sink for F {
    fn event(&mut self, event: &Event) {
        self(event);
    }
}

#[derive(Serialize)]
struct Line<'a> {
    schema_version: u32,
    #[serde(flatten)]
    event: &'a Event,
}

impl Event {
    /// The line of `metrics.jsonl`, without its newline.
    pub fn json(&self) -> String {
        let line = Line { schema_version: SCHEMA_VERSION, event: self };
        serde_json::to_string(&line).expect("events are plain numbers and strings")
    }

    /// The line of the log, in the form of the challenge's script where it has one.
    pub fn log_line(&self) -> String {
        let average = |ms: f64, step: u64| ms / step.max(1) as f64;
        let bits = |bpb: Option<f64>| bpb.map(|b| format!(" val_bpb:{b:.4}")).unwrap_or_default();
        match self {
            Event::Start { config_hash, parameters, backend, train_tokens, .. } => {
                format!(
                    "model_params:{parameters} train_tokens:{train_tokens} device:{backend} config:{config_hash}"
                )
            }
            Event::Resume { step, train_ms, path } => {
                format!("resumed: step:{step} train_time:{train_ms:.0}ms from `{path}`")
            }
            Event::Step { step, iterations, loss, train_ms, .. } => format!(
                "step:{step}/{iterations} train_loss:{loss:.4} train_time:{train_ms:.0}ms step_avg:{:.2}ms",
                average(*train_ms, *step)
            ),
            Event::FirstStep { step, startup_ms } => {
                format!("first step done: step:{step} {:.1} s after the start", startup_ms / 1e3)
            }
            Event::FakeQuant { step } => format!("fake_quant: on step:{step}"),
            Event::Validation { step, iterations, loss, bpb, train_ms, .. } => format!(
                "step:{step}/{iterations} val_loss:{loss:.4}{} train_time:{train_ms:.0}ms step_avg:{:.2}ms",
                bits(*bpb),
                average(*train_ms, *step)
            ),
            Event::Checkpoint { step, path, .. } => format!("checkpoint: step:{step} `{path}`"),
            Event::Size { step, predicted_bytes } => {
                format!("size: step:{step} artifact of about {predicted_bytes} bytes")
            }
            Event::Warning { step, message } => format!("warning: step:{step} {message}"),
            Event::Interrupted { step, train_ms } => {
                format!("interrupted: saved step:{step} train_time:{train_ms:.0}ms")
            }
            Event::Stop { step, iterations, reason, train_ms } => match reason {
                StopReason::Iterations => {
                    format!("done: step:{step}/{iterations} train_time:{train_ms:.0}ms")
                }
                StopReason::WallclockCap => {
                    format!(
                        "stopping_early: wallclock_cap train_time:{train_ms:.0}ms step:{step}/{iterations}"
                    )
                }
            },
            Event::Artifact { path, bytes, weights, .. } => {
                format!("artifact: `{path}` {bytes} bytes of 16000000, weights:{weights}")
            }
            Event::Averaged { weights, loss, bpb, .. } => {
                format!("averaged weights:{weights} val_loss:{loss:.4}{}", bits(*bpb))
            }
            Event::Final { loss, bpb, .. } => format!("final_roundtrip val_loss:{loss:.4}{}", bits(*bpb)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_lines_are_those_of_the_challenge_and_json_lines_carry_the_version() {
        let step = Event::Step {
            step: 200,
            iterations: 20_000,
            loss: 2.34567,
            grad_norm: 0.5,
            lr_scale: 1.0,
            momentum: 0.95,
            tokens: 8,
            train_ms: 9_750.4,
            fake_quant: false,
        };
        assert_eq!(step.log_line(), "step:200/20000 train_loss:2.3457 train_time:9750ms step_avg:48.75ms");
        assert!(
            step.json().starts_with(r#"{"schema_version":1,"event":"step","step":200,"#),
            "{}",
            step.json()
        );
        let validation = Event::Validation {
            step: 0,
            iterations: 5,
            loss: 6.9,
            bpb: Some(4.1),
            tokens: 1,
            bytes: Some(2),
            train_ms: 0.0,
        };
        let line = "step:0/5 val_loss:6.9000 val_bpb:4.1000 train_time:0ms step_avg:0.00ms";
        assert_eq!(validation.log_line(), line);
    }
}
