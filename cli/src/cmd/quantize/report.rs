//! What `golf quantize` prints: one row per tensor, then what the predictions were worth.

use super::QuantizeArgs;
use super::calibration::Measured;
use crate::cmd::inspect::cap_line;
use crate::source::FloatModel;
use crate::table::markdown;
use golf_core::compress::{Fitted, Method};
use golf_core::digest::hex;
use golf_core::quant::Storage;
use serde::Serialize;
use std::fmt;

/// The outcome of `golf quantize`.
#[derive(Serialize)]
pub(super) struct Report {
    artifact: String,
    source: String,
    content_sha256: String,
    target_bytes: u64,
    bytes: u64,
    /// Unused bytes under the target.
    margin_bytes: u64,
    parameters: usize,
    quantizer: String,
    method: &'static str,
    /// Integers of ±1 that were zeroed to meet the target.
    pruned_ones: usize,
    rounds: Vec<RoundRow>,
    calibration: Option<CalibrationRow>,
    tensors: Vec<TensorRow>,
}

#[derive(Serialize)]
struct RoundRow {
    predicted_bytes: f64,
    encoded_bytes: u64,
}

#[derive(Serialize)]
struct CalibrationRow {
    tokens: usize,
    /// Nats per token on the calibration text.
    loss_float: f64,
    loss_artifact: Option<f64>,
    /// Sum over tensors for roundings to nearest.
    predicted_increase: f64,
}

#[derive(Serialize)]
struct TensorRow {
    name: String,
    elements: usize,
    form: String,
    /// Whether it is stored as integers.
    quantized: bool,
    /// Predicted share of the file.
    bytes: f64,
    bits_per_weight: f64,
    /// Nats per token with calibration, otherwise relative squared error.
    predicted_loss: f64,
    /// What the next wider form would remove per byte; absent at the widest.
    loss_per_byte: Option<f64>,
}

impl Report {
    pub fn new(
        args: &QuantizeArgs,
        model: &FloatModel,
        fitted: &Fitted,
        measured: &Measured,
        method: Method,
        loss_artifact: Option<f64>,
    ) -> Report {
        let bytes = fitted.file.len() as u64;
        let round = |r: &golf_core::compress::fit::Round| RoundRow {
            predicted_bytes: r.predicted,
            encoded_bytes: r.encoded,
        };
        let calibration = measured.calibration.as_ref().map(|c| CalibrationRow {
            tokens: c.tokens,
            loss_float: c.loss,
            loss_artifact,
            predicted_increase: fitted.plan.loss(),
        });
        Report {
            artifact: args.out.display().to_string(),
            source: model.origin.clone(),
            content_sha256: hex(&fitted.artifact.content_hash()),
            target_bytes: args.target_bytes,
            bytes,
            margin_bytes: args.target_bytes - bytes,
            parameters: fitted.plan.tensors.iter().map(|t| t.elements).sum(),
            quantizer: args.quantizer.clone(),
            method: method.name(),
            pruned_ones: fitted.pruned,
            rounds: fitted.rounds.iter().map(round).collect(),
            calibration,
            tensors: tensors(fitted),
        }
    }

    fn table(&self) -> String {
        let header = ["tensor", "weights", "form", "bytes", "bits", "Δloss", "Δloss/kB"];
        let row = |t: &TensorRow| {
            vec![
                t.name.clone(),
                t.elements.to_string(),
                t.form.clone(),
                format!("{:.0}", t.bytes),
                format!("{:.2}", t.bits_per_weight),
                format!("{:.2e}", t.predicted_loss),
                t.loss_per_byte.map_or(String::new(), |x| format!("{:.1e}", 1e3 * x)),
            ]
        };
        let quantized = self.tensors.iter().filter(|t| t.quantized);
        markdown(&header, &quantized.map(row).collect::<Vec<_>>())
    }
}

fn tensors(fitted: &Fitted) -> Vec<TensorRow> {
    let plan = &fitted.plan;
    let row = |t: &golf_core::compress::TensorPlan| {
        let (rung, next) = (t.rung(), t.rungs.get(t.chosen + 1));
        let bytes = plan.real(rung);
        TensorRow {
            name: t.name.clone(),
            elements: t.elements,
            form: rung.to_string(),
            quantized: matches!(rung.storage, Storage::Quantized(_)),
            bytes,
            bits_per_weight: 8.0 * bytes / t.elements.max(1) as f64,
            predicted_loss: rung.loss,
            loss_per_byte: next.map(|n| (rung.loss - n.loss) / (plan.real(*n) - bytes)),
        }
    };
    plan.tensors.iter().map(row).collect()
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.table())?;
        let plain = self.tensors.iter().filter(|t| !t.quantized);
        let (count, bytes) = plain.fold((0, 0.0), |(n, sum), t| (n + 1, sum + t.bytes));
        writeln!(f, "plain       {count} tensors in {bytes:.0} bytes ({})", Storage::Fp16.name())?;
        writeln!(f, "source      {}, {} parameters", self.source, self.parameters)?;
        writeln!(f, "quantizer   {}, {}", self.quantizer, self.method)?;
        for (n, round) in self.rounds.iter().enumerate() {
            let (predicted, encoded) = (round.predicted_bytes, round.encoded_bytes);
            let off = 100.0 * (encoded as f64 / predicted - 1.0);
            writeln!(
                f,
                "round {}     predicted {predicted:.0} bytes, encoded {encoded} ({off:+.2} %)",
                n + 1
            )?;
        }
        if self.pruned_ones > 0 {
            writeln!(f, "pruned      {} integers of ±1", self.pruned_ones)?;
        }
        if let Some(c) = &self.calibration {
            write!(
                f,
                "loss        {:.5} nats per token on {} tokens of calibration text",
                c.loss_float, c.tokens
            )?;
            if let Some(after) = c.loss_artifact {
                let real = after - c.loss_float;
                let predicted = c.predicted_increase;
                write!(
                    f,
                    ", {after:.5} from the artifact ({real:+.5}; predicted {predicted:+.5} to nearest)"
                )?;
            }
            writeln!(f)?;
        }
        writeln!(f, "target      {} bytes, {} unused", self.target_bytes, self.margin_bytes)?;
        writeln!(f, "size        {}", cap_line(self.bytes))?;
        write!(f, "wrote       `{}`, content sha256 {}", self.artifact, self.content_sha256)
    }
}
