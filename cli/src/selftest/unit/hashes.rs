//! Buckets of the hashed n-grams, and rotary angles.

use super::Site;
use crate::selftest::fault::Fault;
use crate::selftest::report::CaseReport;
use crate::selftest::session::Session;
use crate::selftest::tolerance::Quantity;
use golf_core::graph::Graph;
use golf_core::model::ModelConfig;
use golf_core::ops::{HashBucket, HashKind, rope_angle};
use golf_core::tensor::{Tensor, TensorType};

/// `hash.<kind>.<buckets>`: the bucket of every position of `hash.tokens [rows, seq]`.
pub fn buckets(site: &Site<'_>, report: &mut CaseReport) -> Result<(), Fault> {
    let tokens = site.fixture.ints("hash.tokens")?;
    let [rows, seq] = tokens.shape[..] else {
        let name = "hash.tokens".to_owned();
        return Err(Fault::TensorShape { name, expected: vec![1, 1], got: tokens.shape });
    };
    let tokens = Tensor::i32(&[rows * seq], tokens.values);
    for name in site.fixture.names_after("hash.").filter(|name| *name != "tokens") {
        let Some((kind, buckets)) =
            name.split_once('.').and_then(|(k, n)| Some((kind_of(k)?, n.parse().ok()?)))
        else {
            let expected = "`<kind>.<buckets>` with a known kind of hash";
            return Err(Fault::TensorName { name: format!("hash.{name}"), expected });
        };
        let mut graph = Graph::new();
        let ids = graph.input("tokens", TensorType::i32(&[rows * seq]));
        let found = graph.apply(HashBucket { kind, buckets, seq }, &[ids])?;
        graph.output("buckets", found);
        let got = Session::new(site.device)?.evaluate(&graph, &[("tokens", &tokens)])?;
        let expected = site.fixture.ints(&format!("hash.{name}"))?;
        report.equal("hash", name, got[0].i32s(), &expected.values);
    }
    Ok(())
}

fn kind_of(name: &str) -> Option<HashKind> {
    match name {
        "bigram_v1" => Some(HashKind::BigramV1),
        "bigram_v2" => Some(HashKind::BigramV2),
        "trigram_s951" => Some(HashKind::TRIGRAM_S951),
        "trigram_s1216" => Some(HashKind::TRIGRAM_S1216),
        "trigram_p1019" => Some(HashKind::TRIGRAM_P1019),
        _ => None,
    }
}

/// `rope.<table>.{cos,sin}` at the positions that the JSON lists. A table is `r<dims>`, or `r<dims>_ntk<length>` for
/// windows of that length with the rescaled base.
pub fn angles(site: &Site<'_>, report: &mut CaseReport) -> Result<(), Fault> {
    let node = site.fixture.json().field("rope")?;
    let rows: Vec<usize> = node.get("rows")?;
    node.acknowledge_fields(&["note"]);
    for table in super::groups(site.fixture, "rope.") {
        let unknown = || Fault::TensorName {
            name: format!("rope.{table}"),
            expected: "`r<dims>` or `r<dims>_ntk<length>`",
        };
        let sizes = table.strip_prefix('r').ok_or_else(unknown)?;
        let (dims, length) = sizes.split_once("_ntk").unwrap_or((sizes, "0"));
        let rope_dims: usize = dims.parse().map_err(|_| unknown())?;
        let length: usize = length.parse().map_err(|_| unknown())?;
        let config = ModelConfig { rope_dims, rope_ntk: length > 0, ..ModelConfig::default() };
        let base = config.rope_base_for(length);
        if let Some(stored) = node.find(&format!("{table}_base")) {
            report.compare("rope.base", Quantity::Schedule, table, &[base], &[stored.read()?]);
        }
        let half = rope_dims / 2;
        let angle = |i: usize| rope_angle(rows[i / half], i % half, rope_dims, base);
        let angles: Vec<f64> = (0..rows.len() * half).map(angle).collect();
        for (key, of) in [("cos", f64::cos as fn(f64) -> f64), ("sin", f64::sin)] {
            let expected = site.fixture.floats_of(&format!("rope.{table}.{key}"), &[rows.len(), half])?;
            let got: Vec<f64> = angles.iter().copied().map(of).collect();
            report.compare("rope", Quantity::Angle, &format!("{table}.{key}"), &got, &expected);
        }
    }
    Ok(())
}
