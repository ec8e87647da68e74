//! Every row quantizer on matrices with difficult rows, and what belongs to them: quantiles, pruning, nibbles.

use super::{Site, groups};
use crate::selftest::fault::Fault;
use crate::selftest::quantized::{Ties, compare_integers, compare_scales};
use crate::selftest::report::CaseReport;
use crate::selftest::tolerance::Quantity;
use golf_core::quant::Scheme;
use golf_core::quant::nibble::{pack_nibbles, unpack_nibbles};
use golf_core::quant::prune::prune;
use golf_core::quant::quantile::{magnitudes, quantile};
use golf_core::quant::scheme::CLIP_QUANTILE;

/// `quant.<tensor>.w` and everything derived from it: `.<scheme>.{q,scale}`, `.nibbles_of_<scheme>`,
/// `.pruned_<fraction>`, `.row_quantile_<p>`.
pub fn replay(site: &Site<'_>, report: &mut CaseReport) -> Result<(), Fault> {
    for tensor in groups(site.fixture, "quant.") {
        let prefix = format!("quant.{tensor}.");
        let weights = site.fixture.singles(&format!("{prefix}w"))?;
        let (shape, values) = (&weights.shape, &weights.values);
        for name in site.fixture.names_after(&prefix).filter(|name| *name != "w") {
            let part = Derived { site, tensor, name, shape, values };
            report.attempt("quant", |report| part.replay(report));
        }
    }
    Ok(())
}

/// A tensor derived from the weights `values` of `shape`.
struct Derived<'a> {
    site: &'a Site<'a>,
    tensor: &'a str,
    name: &'a str,
    shape: &'a [usize],
    values: &'a [f32],
}

impl Derived<'_> {
    fn replay(&self, report: &mut CaseReport) -> Result<(), Fault> {
        let (fixture, name) = (self.site.fixture, self.name);
        let full = format!("quant.{}.{name}", self.tensor);
        let cols = self.shape.last().copied().unwrap_or(1).max(1);
        let unknown = |expected| Fault::TensorName { name: full.clone(), expected };
        if let Some(p) = name.strip_prefix("row_quantile_") {
            let p = match p {
                "q8" => CLIP_QUANTILE,
                _ => p.parse().map_err(|_| unknown("a probability at the end"))?,
            };
            let mut scratch = Vec::new();
            let of_row = |row: &[f32]| {
                magnitudes(row, &mut scratch);
                quantile(&mut scratch, p)
            };
            let got: Vec<f32> = self.values.chunks(cols).map(of_row).collect();
            report.equal("quant.row_quantile", &full, &got, &fixture.singles(&full)?.values);
        } else if let Some(fraction) = name.strip_prefix("pruned_") {
            let mut got = self.values.to_vec();
            prune(&mut got, fraction.parse().map_err(|_| unknown("a fraction at the end"))?);
            report.equal("quant.pruned", &full, &got, &fixture.singles(&full)?.values);
        } else if let Some(source) = name.strip_prefix("nibbles_of_") {
            let q = fixture.bytes(&format!("quant.{}.{source}.q", self.tensor))?.values;
            let packed = fixture.bytes(&full)?.values;
            report.equal("quant.nibbles", &full, &pack_nibbles(&q, cols), &packed);
            report.equal("quant.nibbles", &full, &unpack_nibbles(&packed, cols), &q);
        } else if let Some(key) = name.strip_suffix(".q") {
            let scheme = scheme_of(key).ok_or_else(|| unknown("a known quantizer"))?;
            self.quantizer(key, scheme, report)?;
        } else if name.strip_suffix(".scale").is_none_or(|key| scheme_of(key).is_none()) {
            return Err(unknown("a quantizer, `nibbles_of_`, `pruned_` or `row_quantile_`"));
        }
        Ok(())
    }

    fn quantizer(&self, key: &str, scheme: Scheme, report: &mut CaseReport) -> Result<(), Fault> {
        let (fixture, tag) = (self.site.fixture, format!("{}.{key}", self.tensor));
        let got = scheme.quantize(self.shape, self.values);
        let mut ties = Ties(0);
        if let Some(node) = fixture.json().find("quant").and_then(|node| node.find(&tag)) {
            ties = Ties(node.get("near_ties")?);
            node.acknowledge_fields(&["selection_margin"]);
            let square = |(w, v): (&f32, f32)| f64::from(w - v).powi(2);
            let error: f64 = self.values.iter().zip(got.dequantize()).map(square).sum();
            let error = error / self.values.len() as f64;
            report.compare("quant.mse", Quantity::Error, &tag, &[error], &[node.get("mse")?]);
        }
        let expected = fixture.bytes(&format!("quant.{tag}.q"))?;
        compare_integers(report, "quant.q", &tag, &got.q, &expected.values, ties);
        compare_scales(report, "quant.scale", &tag, &got, fixture, &format!("quant.{tag}.scale"))
    }
}

/// The scheme of a key such as `pct31`.
fn scheme_of(key: &str) -> Option<Scheme> {
    if let Some(fixed) = [Scheme::Q8, Scheme::S585, Scheme::S861].into_iter().find(|s| s.name() == key) {
        return Some(fixed);
    }
    let digits = key.trim_start_matches(|c: char| c.is_ascii_alphabetic());
    let c = digits.parse().ok().filter(|c| *c <= 127)?;
    match key.trim_end_matches(|c: char| c.is_ascii_digit()) {
        // A vector has one row: its maximum.
        "rowmax" | "c" => Some(Scheme::RowMax { c }),
        "pct" => Some(Scheme::Percentile { c }),
        "floor" => Some(Scheme::PercentileFloor { c }),
        "ratio" => Some(Scheme::Ratio { c }),
        _ => None,
    }
}
