//! A run that goes through a checkpoint file at every step ends where one that never stops does.

use golf_core::backend::Backend;
use golf_core::collective::Alone;
use golf_core::data::{TokenStream, shard};
use golf_core::reference::Reference;
use golf_core::train::checkpoint::{Checkpoint, file_name};
use golf_core::train::feed::Feed;
use golf_core::train::metrics::Event;
use golf_core::train::session::{Every, Job, Outcome, Resume, run};
use golf_core::train::validation::Validation;
use golf_core::train::{Recipe, TrainError, preset};
use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};

fn shard_in(folder: &Path) -> PathBuf {
    let path = folder.join("t_train_000000.bin");
    if !path.exists() {
        let tokens: Vec<u16> = (0..500u32).map(|i| ((i * i / 5 + i) % 64) as u16).collect();
        shard::write(&path, &tokens).expect("a shard is written");
    }
    path
}

fn job<'a>(folder: &Path, out: &str, resume: Resume, interrupted: &'a dyn Fn() -> bool) -> Job<'a> {
    let path = shard_in(folder);
    let out = folder.join(out);
    fs::create_dir_all(&out).expect("a folder is made");
    let preset = preset("nano", false).expect("a preset");
    Job {
        model: preset.model,
        recipe: Recipe { iterations: 12, warmdown_iters: 8, ..preset.recipe },
        train: Feed::new(TokenStream::open(vec![path]).expect("the shard opens")),
        validation: None,
        tokenizer: None,
        out,
        resume,
        checkpoint_every: Every::Never,
        checkpoint_keep: 1,
        validate_every: 0,
        interrupted,
    }
}

fn go(job: Job<'_>, events: &mut Vec<Event>) -> Result<Outcome, TrainError> {
    let mut sink = |event: &Event| events.push(event.clone());
    pollster::block_on(run(&mut Reference::new(), job, &mut sink))
}

#[test]
fn stopping_after_every_single_step_changes_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut whole, mut parts) = (Vec::new(), Vec::new());
    go(job(folder.path(), "whole", Resume::Off, &|| false), &mut whole).expect("a run");
    let mut processes = 0;
    while go(job(folder.path(), "parts", Resume::Auto, &|| true), &mut parts).expect("a part")
        == Outcome::Interrupted
    {
        processes += 1;
        assert!(processes <= 13, "every part does a step");
        if folder.path().join("parts/artifact.bin").exists() {
            break;
        }
    }
    let read = |out: &str| fs::read(folder.path().join(out).join("artifact.bin")).expect("an artifact");
    assert_eq!(read("whole"), read("parts"));
    let steps = |events: &[Event]| -> Vec<(u64, f64, f64, bool)> {
        let step = |event: &Event| match event {
            Event::Step { step, loss, grad_norm, fake_quant, .. } => {
                Some((*step, *loss, *grad_norm, *fake_quant))
            }
            _ => None,
        };
        events.iter().filter_map(step).collect()
    };
    assert_eq!(steps(&whole), steps(&parts), "the same losses, to the last bit");
    assert_eq!(steps(&whole).len(), 12);
    assert!(steps(&whole)[11].3 && !steps(&whole)[0].3, "the run crosses the quantization switch");
}

#[test]
fn the_time_that_earlier_processes_used_counts() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut events = Vec::new();
    let calls = Cell::new(0);
    let third = || {
        calls.set(calls.get() + 1);
        calls.get() == 3
    };
    go(job(folder.path(), "out", Resume::Off, &third), &mut events).expect("a part");
    let Some(Event::Interrupted { step: 3, train_ms }) = events.last().cloned() else {
        panic!("{:?}", events.last())
    };
    assert!(train_ms > 0.0);
    events.clear();
    go(job(folder.path(), "out", Resume::Auto, &|| false), &mut events).expect("the rest");
    let Some(Event::Resume { step: 3, train_ms: resumed, .. }) = events.get(1) else {
        panic!("{:?}", events.get(1))
    };
    assert!(*resumed > 0.0 && *resumed <= train_ms);
    let stop = events.iter().find_map(|e| match e {
        Event::Stop { train_ms, .. } => Some(*train_ms),
        _ => None,
    });
    assert!(stop.expect("the run stops") > *resumed);
}

#[test]
fn the_artifact_is_written_before_anything_is_evaluated() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut events = Vec::new();
    let job = Job {
        validation: Some(validation(folder.path())),
        ..job(folder.path(), "out", Resume::Off, &|| false)
    };
    go(job, &mut events).expect("a run");
    let at = |wanted: fn(&Event) -> bool| events.iter().position(wanted);
    let artifact = at(|e| matches!(e, Event::Artifact { .. })).expect("an artifact");
    let checkpoint = at(|e| matches!(e, Event::Checkpoint { step: 12, .. })).expect("a last checkpoint");
    assert!(checkpoint < artifact);
    let averaged = at(|e| matches!(e, Event::Averaged { .. })).expect("a score of the averages");
    let last = at(|e| matches!(e, Event::Final { .. })).expect("a score of the artifact");
    assert!(artifact < averaged && averaged < last);
}

/// Some of the text that [`job`] trains on.
fn validation(folder: &Path) -> Validation {
    let stream = TokenStream::open(vec![shard_in(folder)]).expect("the shard opens");
    Validation::new(stream, 16, 3, 200, None).expect("enough tokens")
}

#[test]
fn what_is_quantized_is_scored_before_whether_averages_or_live_weights() {
    for ema_enabled in [true, false] {
        let folder = tempfile::tempdir().expect("a folder");
        let mut events = Vec::new();
        let plain = job(folder.path(), "out", Resume::Off, &|| false);
        let (model, recipe) = (plain.model.clone(), Recipe { ema_enabled, ..plain.recipe.clone() });
        go(Job { recipe, validation: Some(validation(folder.path())), ..plain }, &mut events).expect("a run");
        let told = events.iter().find_map(|event| match event {
            Event::Averaged { weights, loss, .. } => Some((*weights, *loss)),
            _ => None,
        });
        let live = events.iter().rev().find_map(|event| match event {
            Event::Validation { step: 12, loss, .. } => Some(*loss),
            _ => None,
        });
        let states =
            Checkpoint::load(&folder.path().join("out").join(file_name(12))).expect("a checkpoint").states;
        let score = |prefix: &str| {
            let mut backend = Reference::new();
            for (name, tensor) in states.iter().filter_map(|(name, t)| Some((name.strip_prefix(prefix)?, t)))
            {
                backend.write_state(name, tensor).expect("a state is written");
            }
            let mut scored = validation(folder.path());
            pollster::block_on(scored.score(&mut Alone::new(&mut backend), &model)).expect("a score").loss
        };
        assert_eq!(told, ema_enabled.then(|| ("ema", score("average/"))));
        assert_eq!(live, Some(score("")));
    }
}
