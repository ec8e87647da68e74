//! Forged results, each made from an honest one as a forger would make it, and the rule that convicts it.
//!
//! Where a receipt alone cannot tell, that is asserted too, beside what it takes to convict: the artifact, the text, a
//! replay, the data.

#[path = "forged/scorers.rs"]
mod scorers;
#[path = "forged/seal.rs"]
mod seal;
#[path = "forged/site.rs"]
mod site;

use golf_core::check::{Case, ProbeOptions, Run, examine, probe};
use golf_core::eval::receipt::ChunkRecord;
use golf_core::eval::{Method, Receipt, Totals};
use scorers::{Probability, Toy, VOCAB};
use seal::{any_hash, renumber, seal, weights_of};
use site::{
    FIXED, Findings, SCORE_FIRST, SLIDING, Site, TRAIN_THEN_SCORE, other_tokenizer, prose, recipe, tokenizer,
};
use std::fs;

/// Everything that an honest single run can be held against.
const ALL: &str = "--text @val.txt --train @train.txt --replay 100 --probe 8";
/// What even that leaves open for one run without a `submission.json`.
const OPEN: [&str; 2] = ["same-config", "claims"];

#[test]
fn honest_runs_of_every_kind_pass() {
    let site = Site::new();
    for flags in [FIXED, SLIDING, SCORE_FIRST] {
        let receipt = site.evaluate(flags);
        assert!(receipt.chunks.len() > 3, "several chunks");
        let findings = site.check("run", ALL);
        findings.acquit(&OPEN);
        let replay = findings.0.iter().find(|f| f.rule == "replay").expect("a row of the table");
        assert!(replay.evidence.contains("bit-equal"), "{}", replay.evidence);
    }
}

#[test]
fn a_receipt_alone_proves_little_and_says_so() {
    let site = Site::new();
    site.evaluate(SCORE_FIRST);
    site.check("run/receipt.json", "").acquit(&[
        "size",
        "train-budget",
        "eval-budget",
        "artifact",
        "log",
        "tokenizer",
        "text",
        "bytes",
        "score-first",
        "replay",
        "normalized",
        "future",
        "target",
        "overlap",
        "same-config",
        "claims",
    ]);
}

#[test]
fn a_receipt_that_was_edited_by_hand_is_found() {
    let site = Site::new();
    let honest = site.evaluate(FIXED);
    let mut totals = honest.clone();
    totals.totals.val_bpb = totals.totals.val_bpb.map(|bpb| bpb - 0.01);
    site.forge(&totals);
    site.check("run", ALL).convict(&["receipt"], "head");
    // The sums follow, the chain does not.
    let mut chunk = honest.clone();
    chunk.chunks[1].nll -= 5.0;
    let mut sealed = chunk.clone();
    seal(&mut sealed);
    chunk.totals = sealed.totals;
    site.forge(&chunk);
    site.check("run", "").convict(&["receipt"], "chunk 1: link");
}

#[test]
fn train_then_score_convicts_itself() {
    let site = Site::new();
    site.evaluate(TRAIN_THEN_SCORE);
    site.check("run", ALL).convict(&["score-first"], "says so");
}

/// Train-then-score, passed off as score-first: labels changed, steps filled in, chain made anew.
fn relabelled(site: &Site) -> Receipt {
    let honest = site.evaluate(SCORE_FIRST);
    let mut forged = site.evaluate(TRAIN_THEN_SCORE);
    forged.run.method = Method::ScoreFirst;
    forged.run.marks = honest.run.marks.clone();
    forged.run.adaptation = honest.run.adaptation.clone();
    for (chunk, own) in forged.chunks.iter_mut().zip(&honest.chunks) {
        chunk.steps = own.steps;
    }
    seal(&mut forged);
    forged
}

#[test]
fn train_then_score_passed_off_as_score_first_is_found_by_its_first_weights() {
    let site = Site::new();
    let forged = relabelled(&site);
    site.forge(&forged);
    assert!(site.check("run/receipt.json", "").open().contains(&"score-first"));
    site.check("run", "").convict(&["score-first"], "chunk 0 was scored by weights");
}

#[test]
fn train_then_score_with_borrowed_hashes_is_found_by_replaying() {
    let site = Site::new();
    let mut forged = relabelled(&site);
    let honest = site.evaluate(SCORE_FIRST);
    for (chunk, own) in forged.chunks.iter_mut().zip(&honest.chunks) {
        chunk.weights_before.clone_from(&own.weights_before);
        chunk.weights_after.clone_from(&own.weights_after);
    }
    seal(&mut forged);
    site.forge(&forged);
    let without = site.check("run", "--text @val.txt");
    assert!(without.failed().is_empty() && without.open().contains(&"replay"));
    site.check("run", "--text @val.txt --replay 2").convict(&["replay"], "when run again");
    // As a run that never adapts: the same weights throughout.
    forged.run.method = Method::Fixed;
    forged.run.adaptation = None;
    let weights = weights_of(&forged.run.model_sha256);
    for chunk in &mut forged.chunks {
        (chunk.weights_before, chunk.weights_after, chunk.steps) = (weights.clone(), weights.clone(), 0);
    }
    seal(&mut forged);
    site.forge(&forged);
    site.check("run", ALL).convict(&["replay"], "when run again");
}

#[test]
fn a_chunk_that_was_rescored_after_learning_it_is_found_by_replaying() {
    let site = Site::new();
    let mut forged = site.evaluate(SCORE_FIRST);
    // Scored again by the weights that adapted on it: 2 % better, under the old weights' name.
    forged.chunks[2].nll *= 0.98;
    forged.chunks[2].nll_sha256 = any_hash("second pass");
    seal(&mut forged);
    site.forge(&forged);
    assert!(site.check("run", "--text @val.txt --replay 2").failed().is_empty(), "chunk 2 was not replayed");
    site.check("run", "--text @val.txt --replay 3").convict(&["replay"], "chunk 2");
    // Without adaptation any chunk may be asked for, and the last is always among them.
    let mut last = site.evaluate(FIXED);
    last.chunks.last_mut().expect("chunks").nll *= 0.98;
    seal(&mut last);
    site.forge(&last);
    site.check("run", "--text @val.txt --replay 2").convict(&["replay"], "when run again");
}

#[test]
fn a_chunk_in_the_place_of_a_worse_one_is_found_by_its_plan() {
    let site = Site::new();
    let mut forged = site.evaluate(FIXED);
    let (best, last) = (forged.chunks[0].clone(), forged.chunks.len() - 1);
    // The last chunk is shorter than the others: the copy has too many scores, the proof is stretched to hide it.
    forged.chunks[last] = ChunkRecord { index: last, ..best };
    seal(&mut forged);
    site.forge(&forged);
    site.check("run", "").convict(&["exactly-once"], "duplicates");
    // Its count is mended; then its scores are not those of the text.
    let mut mended = site.evaluate(FIXED);
    let (from, to) = (mended.chunks[0].clone(), 1);
    mended.chunks[to] = ChunkRecord { index: to, ..from };
    seal(&mut mended);
    site.forge(&mended);
    assert!(!site.check("run", "--text @val.txt --replay 100").failed().is_empty());
}

#[test]
fn a_chunk_that_is_left_out_or_added_is_found() {
    let site = Site::new();
    let honest = site.evaluate(SCORE_FIRST);
    let mut missing = honest.clone();
    missing.chunks.pop();
    if let Some(last) = missing.chunks.last_mut() {
        (last.steps, last.weights_after) = (0, last.weights_before.clone());
    }
    seal(&mut missing);
    site.forge(&missing);
    site.check("run", "").convict(&["exactly-once"], "chunk records");
    let mut twice = site.evaluate(FIXED);
    twice.chunks.insert(1, twice.chunks[1].clone());
    renumber(&mut twice.chunks);
    seal(&mut twice);
    site.forge(&twice);
    site.check("run", "").convict(&["exactly-once"], "chunk records");
}

#[test]
fn windows_as_published_score_the_tail_again() {
    let site = Site::new();
    site.evaluate(&format!("{SLIDING} --as-published"));
    site.check("run", "").convict(&["exactly-once"], "repeats");
}

#[test]
fn a_dropped_tail_is_found_by_the_text() {
    let site = Site::new();
    let mut forged = site.evaluate(&format!("{FIXED} --targets 500"));
    let whole = fs::metadata(site.path("val.txt")).expect("the text").len();
    // Fewer nats over the bytes of the whole text.
    forged.run.source.raw_bytes = Some(whole);
    seal(&mut forged);
    site.forge(&forged);
    assert!(site.check("run", "").failed().is_empty());
    site.check("run", "--text @val.txt").convict(&["text"], "the tail is missing");
    site.check("run", "--text @val.txt --targets 500").convict(&["bytes"], "raw bytes");
    // Said openly, a part of a text is a part of a text.
    site.evaluate(&format!("{FIXED} --targets 500"));
    site.check("run", "--text @val.txt --targets 500 --replay 9 --train @train.txt").acquit(&OPEN);
}

#[test]
fn another_validation_text_is_found() {
    let site = Site::new();
    fs::write(site.path("easy.txt"), "the river and the river and the river. ".repeat(60)).expect("writable");
    let mut forged = site.evaluate_in("run", "easy.txt", FIXED);
    site.check("run", "--text @val.txt").convict(&["text"], "");
    forged.run.source.text_sha256 = None;
    seal(&mut forged);
    site.forge(&forged);
    site.check("run", "--text @val.txt").convict(&["text"], "");
}

/// The receipt with `bytes` charged to the targets in all, spread over its chunks.
fn with_bytes(mut receipt: Receipt, factor: f64) -> Receipt {
    for chunk in &mut receipt.chunks {
        chunk.bytes = (chunk.bytes as f64 * factor) as u64;
    }
    receipt.run.target_bytes_sha256 = any_hash("another table");
    seal(&mut receipt);
    receipt
}

#[test]
fn a_leading_space_that_is_counted_twice_is_found() {
    let site = Site::new();
    let honest = site.evaluate(FIXED);
    let mut forged = with_bytes(honest.clone(), 1.17);
    site.forge(&forged);
    assert!(forged.totals.val_bpb < honest.totals.val_bpb.map(|bpb| bpb * 0.87), "worth forging");
    site.check("run", "").convict(&["bytes"], "the normalized text has");
    // The forger mends the normalized count as well: only the text can tell.
    forged.run.source.normalized_bytes = Some(forged.totals.bytes);
    seal(&mut forged);
    site.forge(&forged);
    assert!(site.check("run", "").open().contains(&"bytes"));
    site.check("run", ALL).convict(&["bytes"], "another byte table");
}

#[test]
fn byte_pieces_that_are_charged_as_replacement_characters_are_found() {
    let site = Site::new();
    let honest = site.evaluate(FIXED);
    let (tokenizer, text) = (tokenizer(), fs::read_to_string(site.path("val.txt")).expect("the text"));
    let ids = tokenizer.encode(&text);
    let pieces = ids.iter().filter(|id| (4..260).contains(*id)).count() as u64;
    assert!(pieces >= 3, "the text has byte pieces");
    let mut forged = honest.clone();
    // U+FFFD has three bytes where a byte piece has one.
    forged.chunks[0].bytes += 2 * pieces;
    forged.run.source.normalized_bytes = forged.run.source.normalized_bytes.map(|n| n + 2 * pieces);
    forged.run.target_bytes_sha256 = any_hash("three bytes a byte");
    seal(&mut forged);
    site.forge(&forged);
    site.check("run", ALL).convict(&["bytes"], "another byte table");
}

#[test]
fn the_fingerprint_of_a_log_is_its_bytes() {
    // A log that prints only loss and BPB implies the bytes that it divided by (#1719).
    let site = Site::new();
    let honest = site.evaluate(FIXED).totals;
    let (loss, bpb) = (honest.val_loss.expect("tokens"), honest.val_bpb.expect("bytes"));
    let implied = Totals::implied_bytes(loss, honest.tokens, bpb / 1.17);
    assert!((implied / honest.bytes as f64 - 1.17).abs() < 1e-9);
}

#[test]
fn a_wrong_tokenizer_is_found() {
    let site = Site::new();
    site.train("other", &recipe(1337), &other_tokenizer());
    let own = site.evaluate(FIXED);
    let mut forged = site.evaluate_in("other", "val.txt", FIXED);
    // Passed off as a score of the first artifact.
    forged.run.source.artifact_sha256 = own.run.source.artifact_sha256.clone();
    forged.run.model_sha256 = own.run.model_sha256.clone();
    let weights = weights_of(&forged.run.model_sha256);
    for chunk in &mut forged.chunks {
        (chunk.weights_before, chunk.weights_after) = (weights.clone(), weights.clone());
    }
    seal(&mut forged);
    site.forge(&forged);
    site.check("run", "").convict(&["tokenizer"], "the artifact's is");
    forged.run.source.tokenizer_identity = own.run.source.tokenizer_identity.clone();
    seal(&mut forged);
    site.forge(&forged);
    assert!(site.check("run", "").failed().is_empty());
    site.check("run", ALL).convict(&["text"], "");
}

#[test]
fn a_receipt_of_another_model_is_found() {
    let site = Site::new();
    site.train("other", &recipe(7), &tokenizer());
    site.forge(&site.evaluate_in("other", "val.txt", SCORE_FIRST));
    site.check("run", ALL).convict(&["artifact"], "file");
}

fn seeds(site: &Site) {
    for seed in [1, 2, 3] {
        let name = format!("seeds/seed{seed}");
        site.train(&name, &recipe(seed), &tokenizer());
        site.evaluate_in(&name, "val.txt", FIXED);
    }
}

#[test]
fn three_seeds_of_one_configuration_pass_and_mixed_ones_do_not() {
    let site = Site::new();
    seeds(&site);
    site.check("seeds", ALL).acquit(&["claims"]);
    let mixed = golf_core::train::Recipe { matrix_lr: 0.03, ..recipe(2) };
    site.train("seeds/seed2", &mixed, &tokenizer());
    site.evaluate_in("seeds/seed2", "val.txt", FIXED);
    site.check("seeds", "").convict(&["same-config"], "`recipe.matrix_lr`");
    // The log is edited to agree: its hash is not that of the artifact any more.
    fs::copy(site.path("seeds/seed1/metrics.jsonl"), site.path("seeds/seed2/metrics.jsonl"))
        .expect("writable");
    let findings = site.check("seeds", "");
    assert!(findings.failed().contains(&"log"), "{:?}", findings.failed());
}

#[test]
fn one_seed_counted_three_times_or_evaluated_in_another_way_is_found() {
    let site = Site::new();
    seeds(&site);
    site.evaluate_in("seeds/seed3", "val.txt", SLIDING);
    site.check("seeds", "").convict(&["same-config"], "in another way");
    site.train("seeds/seed3", &recipe(1), &tokenizer());
    site.evaluate_in("seeds/seed3", "val.txt", FIXED);
    site.check("seeds", "").convict(&["same-config"], "the same seed");
}

#[test]
fn mebibytes_for_megabytes_are_found() {
    let site = Site::new();
    site.evaluate(FIXED);
    let artifact = fs::metadata(site.path("run/artifact.bin")).expect("an artifact").len();
    // 15.9 MiB: "under 16" in the wrong unit.
    let code = fs::File::create(site.path("run/train_gpt.py")).expect("writable");
    code.set_len((15.9 * f64::from(1 << 20)) as u64 - artifact).expect("a sparse file");
    site.check("run", ALL).convict(&["size"], "15.900 MiB");
    code.set_len(16_000_000 - artifact).expect("a sparse file");
    site.check("run", ALL).acquit(&OPEN);
    // Code beside the code.
    fs::create_dir(site.path("run/lib")).expect("writable");
    fs::write(site.path("run/lib/weights.dat"), [0]).expect("writable");
    site.check("run", ALL).convict(&["size"], "1 bytes over");
}

#[test]
fn a_summary_that_the_evidence_does_not_bear_out_is_found() {
    let site = Site::new();
    let bpb = site.evaluate(FIXED).totals.val_bpb.expect("bytes");
    let size = fs::metadata(site.path("run/artifact.bin")).expect("an artifact").len();
    let claim = |bpb: f64, bytes: u64| {
        let claims = format!(r#"{{"name":"x","val_bpb":{bpb:.4},"bytes_total":{bytes}}}"#);
        fs::write(site.path("run/submission.json"), claims).expect("writable");
        site.check("run", ALL)
    };
    claim(bpb, size).acquit(&["same-config"]);
    claim(bpb - 0.001, size).convict(&["claims"], "val_bpb");
    claim(bpb, size - 1).convict(&["claims"], "bytes_total");
}

#[test]
fn a_stale_log_and_an_edited_one_are_found() {
    let site = Site::new();
    site.evaluate(FIXED);
    site.train("older", &recipe(5), &tokenizer());
    let log = fs::read_to_string(site.path("run/metrics.jsonl")).expect("a log");
    fs::copy(site.path("older/metrics.jsonl"), site.path("run/metrics.jsonl")).expect("writable");
    site.check("run", ALL).convict(&["log"], "the log has");
    fs::write(site.path("run/metrics.jsonl"), log.replace("\"seed\":1337", "\"seed\":42")).expect("writable");
    site.check("run", ALL).convict(&["log"], "the configuration in the log");
}

#[test]
fn training_and_evaluation_beyond_ten_minutes_are_found() {
    let site = Site::new();
    let receipt = site.evaluate(FIXED);
    let log = fs::read_to_string(site.path("run/metrics.jsonl")).expect("a log");
    let over = log.replace("\"calibrate\":0.0", "\"calibrate\":12000.0");
    assert_ne!(log, over);
    fs::write(site.path("run/metrics.jsonl"), over).expect("writable");
    site.check("run", ALL).convict(&["train-budget"], "602.0 s");
    // The summary line is mended, the line before it is not.
    let mended = log.replacen("\"train_ms\":590000.0", "\"train_ms\":640000.0", 1);
    fs::write(site.path("run/metrics.jsonl"), mended).expect("writable");
    site.check("run", ALL).convict(&["train-budget"], "640.0 s");
    fs::write(site.path("run/metrics.jsonl"), log).expect("writable");
    site.report("run", &receipt, 688.0);
    site.check("run", ALL).convict(&["eval-budget"], "688.0 s");
    let other = Receipt { head: any_hash("another"), ..receipt };
    site.report("run", &other, 5.0);
    site.check("run", ALL).convict(&["eval-budget"], "another receipt");
}

#[test]
fn validation_documents_in_the_training_data_are_found() {
    let site = Site::new();
    site.evaluate(FIXED);
    let val = prose(1, 12);
    let leaked = val.split("\n\n").nth(4).expect("a fifth document");
    let train = prose(2, 60);
    fs::write(site.path("train.txt"), format!("{train}\n\n{leaked}\n")).expect("writable");
    site.check("run", ALL).convict(&["overlap"], "1 of 12 validation documents");
    // Copies with one word changed are no copies; their 13-grams are.
    let near: Vec<String> = val.split("\n\n").map(|d| d.replacen("the", "then", 1)).collect();
    fs::write(site.path("train.txt"), format!("{train}\n\n{}\n", near.join("\n\n"))).expect("writable");
    let findings = site.check("run", ALL);
    findings.convict(&["overlap"], "13-grams");
}

/// The verdicts on a scorer that is asked directly.
fn probed(probability: Probability) -> Findings {
    let tokens: Vec<i32> = (0..30).map(|i| i * i % VOCAB as i32).collect();
    let mut scorer = Toy(probability);
    let found = pollster::block_on(probe(&mut scorer, "toy".into(), &tokens, ProbeOptions::default()));
    let run =
        Run { name: "toy".into(), probe: Some(Ok(found.expect("a toy never fails"))), ..Run::default() };
    let mut findings = examine(&Case { runs: vec![run], ..Case::default() });
    findings.retain(|finding| ["normalized", "future", "target"].contains(&finding.rule));
    Findings(findings)
}

#[test]
fn outputs_that_are_no_distribution_or_know_too_much_are_found() {
    probed(scorers::honest).acquit(&[]);
    probed(scorers::unnormalized).convict(&["normalized"], "sum to");
    probed(scorers::target_aware).convict(&["target"], "when another token stands there");
    probed(scorers::far_sighted).convict(&["future"], "with other tokens from");
    probed(scorers::hit_only).convict(&["normalized", "target"], "sum to");
}

#[test]
fn receipts_of_cheating_scorers_are_found_by_replaying() {
    let site = Site::new();
    let honest = site.evaluate(FIXED);
    // A mixture that gives a tenth more probability to what comes, by whatever means: ln 1.1 nats a token.
    let mut forged = honest;
    for chunk in &mut forged.chunks {
        chunk.nll -= 1.1f64.ln() * chunk.tokens as f64;
        chunk.nll_sha256 = any_hash("mixture");
    }
    seal(&mut forged);
    site.forge(&forged);
    assert!(site.check("run", "--text @val.txt").failed().is_empty());
    site.check("run", "--text @val.txt --replay 1").convict(&["replay"], "when run again");
}
