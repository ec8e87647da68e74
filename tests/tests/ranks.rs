//! Training on 2, 4 and 8 ranks, each a thread with a backend of its own, against training on one.
//!
//! What is equal to the last bit, with the micro-batches summed in order: every loss, gradient norm, weight, moment and
//! average, the checkpoint's states and the artifact, on the CPU and on the oracle. Summed once per step, results differ by
//! the rounding of one sum, unless every rank has a single micro-batch.

use golf_core::backend::Backend;
use golf_core::collective::threads::{ThreadTransport, group};
use golf_core::collective::{Alone, CollectiveError, HostCollective};
use golf_core::cpu::Cpu;
use golf_core::data::{TokenStream, shard};
use golf_core::model::{ModelConfig, parameters};
use golf_core::reference::Reference;
use golf_core::tensor::Tensor;
use golf_core::train::checkpoint::{Checkpoint, file_name};
use golf_core::train::feed::Feed;
use golf_core::train::metrics::Event;
use golf_core::train::session::{Every, Job, Outcome, Resume, run_on_ranks};
use golf_core::train::share::Reduction;
use golf_core::train::trainer::{StepReport, Trainer};
use golf_core::train::validation::Validation;
use golf_core::train::{Recipe, TrainError, groups, preset, share};
use golf_tests::tolerance::{F32, compare};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const NEVER: Duration = Duration::from_secs(120);
const RANKS: [usize; 3] = [2, 4, 8];

/// A model of all kinds of parameters, and a recipe of eight micro-batches per step, two from each of four takes, whose
/// gradients are clipped and which crosses the quantization switch.
fn example() -> (ModelConfig, Recipe) {
    let preset = preset("nano", false).expect("a preset");
    let model = ModelConfig { layers: 3, ..preset.model };
    let recipe = Recipe {
        train_batch_tokens: 256,
        grad_accum_steps: 4,
        micro_batch_rows: 2,
        iterations: 10,
        warmdown_iters: 8,
        qat_threshold: 0.9,
        grad_clip_norm: 0.3,
        ..preset.recipe
    };
    (model, recipe)
}

fn shards(folder: &Path) -> Vec<PathBuf> {
    let tokens = |seed: u32, count: u32| -> Vec<u16> {
        (0..count).map(|i| ((i * i / 7 + 3 * i + seed) % 64) as u16).collect()
    };
    for (i, count) in [1100, 700].into_iter().enumerate() {
        let path = folder.join(format!("t_train_{i:06}.bin"));
        shard::write(&path, &tokens(i as u32, count)).expect("a shard is written");
    }
    ["t_train_000000.bin", "t_train_000001.bin"].map(|name| folder.join(name)).to_vec()
}

fn open(paths: &[PathBuf]) -> TokenStream {
    TokenStream::open(paths.to_vec()).expect("the shards open")
}

/// Runs `body` on every rank of a group, each in a thread; what they return, in rank order, `Err` for a panic.
fn on_ranks<R: Send>(
    size: usize,
    lateness: Duration,
    body: impl Fn(usize, &mut ThreadTransport) -> R + Sync,
) -> Vec<std::thread::Result<R>> {
    std::thread::scope(|scope| {
        let spawn = |(rank, mut end): (usize, ThreadTransport)| {
            let body = &body;
            scope.spawn(move || {
                let result = body(rank, &mut end);
                end.finish();
                result
            })
        };
        let threads: Vec<_> = group(size, lateness).into_iter().enumerate().map(spawn).collect();
        threads.into_iter().map(std::thread::ScopedJoinHandle::join).collect()
    })
}

type States = BTreeMap<String, Tensor>;

/// Steps of one rank: its reports, and all states.
async fn steps(trainer: &mut Trainer<'_>, feed: &mut Feed, count: usize) -> (Vec<StepReport>, States) {
    let mut reports = Vec::new();
    for _ in 0..count {
        reports.push(trainer.step(feed, 0.0).await.expect("a step"));
    }
    trainer.gather().await.expect("moments");
    (reports, trainer.snapshot().await.expect("states").into_iter().collect())
}

fn backend(name: &str) -> Box<dyn Backend> {
    if name == "cpu" { Box::new(Cpu::with_threads(1)) } else { Box::new(Reference::new()) }
}

fn alone(device: &str, model: &ModelConfig, recipe: &Recipe, count: usize) -> (Vec<StepReport>, States) {
    let folder = tempfile::tempdir().expect("a folder");
    let mut feed = Feed::new(open(&shards(folder.path())));
    let mut backend = backend(device);
    let mut alone = Alone::new(backend.as_mut());
    pollster::block_on(async {
        let mut trainer =
            Trainer::new(&mut alone, model, recipe, Reduction::InOrder).await.expect("the model compiles");
        steps(&mut trainer, &mut feed, count).await
    })
}

/// The same on `size` ranks.
fn shared(
    device: &str,
    model: &ModelConfig,
    recipe: &Recipe,
    (size, reduction): (usize, Reduction),
    count: usize,
) -> Vec<(Vec<StepReport>, States)> {
    let folder = tempfile::tempdir().expect("a folder");
    let paths = shards(folder.path());
    let results = on_ranks(size, NEVER, |_, end| {
        let mut feed = Feed::new(open(&paths));
        let mut backend = backend(device);
        let mut ranks = HostCollective::new(backend.as_mut(), end);
        pollster::block_on(async {
            let mut trainer =
                Trainer::new(&mut ranks, model, recipe, reduction).await.expect("the model compiles");
            steps(&mut trainer, &mut feed, count).await
        })
    });
    results.into_iter().map(|result| result.expect("no rank panics")).collect()
}

/// Names of the states that differ in any bit.
fn different(a: &States, b: &States) -> Vec<String> {
    assert_eq!(a.keys().collect::<Vec<_>>(), b.keys().collect::<Vec<_>>());
    let bits = |tensor: &Tensor| -> Vec<u64> { tensor.to_f64().into_iter().map(f64::to_bits).collect() };
    a.iter().filter(|(name, x)| bits(x) != bits(&b[*name])).map(|(name, _)| name.clone()).collect()
}

#[test]
fn any_number_of_ranks_has_every_bit_of_one_rank() {
    let (model, recipe) = example();
    for device in ["cpu", "reference"] {
        let (reports, states) = alone(device, &model, &recipe, 4);
        assert!(reports.iter().all(|r| r.grad_norm > recipe.grad_clip_norm), "clipping is at work");
        assert!(reports.iter().any(|r| r.fake_quant_began), "the quantization switch is crossed");
        for size in RANKS {
            for (rank, (got, own)) in
                shared(device, &model, &recipe, (size, Reduction::InOrder), 4).into_iter().enumerate()
            {
                assert_eq!(got, reports, "{device}, rank {rank} of {size}");
                assert_eq!(different(&states, &own), Vec::<String>::new(), "{device}, rank {rank} of {size}");
            }
        }
    }
}

#[test]
fn matrices_are_dealt_unevenly_and_some_ranks_own_none() {
    let (model, recipe) = example();
    let shapes: BTreeMap<_, _> = parameters(&model).into_iter().map(|p| (p.name, p.shape)).collect();
    let banks = share::banks(&groups::optimizer(&model, &recipe), &shapes, 8);
    let owned = |rank: usize| banks.iter().map(|bank| bank.owned(rank).len()).sum::<usize>();
    let dealt: Vec<usize> = (0..8).map(owned).collect();
    println!("matrices per rank: {dealt:?}");
    assert!(
        dealt.contains(&0) && dealt.iter().max() > dealt.iter().min(),
        "the example is uneven: {dealt:?}"
    );
}

#[test]
fn summed_once_per_step_ranks_differ_by_rounding_only() {
    let (model, recipe) = example();
    let recipe = Recipe { qat: golf_core::train::recipe::Qat::Never, ..recipe };
    let (reports, states) = alone("reference", &model, &recipe, 3);
    for size in RANKS {
        for (rank, (got, own)) in
            shared("reference", &model, &recipe, (size, Reduction::Once), 3).into_iter().enumerate()
        {
            let off = different(&states, &own);
            // Eight micro-batches on eight ranks: one each, so there is no other order.
            assert_eq!(off.is_empty(), size == 8, "rank {rank} of {size}: {} states", off.len());
            for (name, want) in &states {
                // In double precision, held to single precision's tolerance.
                compare(&own[name], want, F32, 8, 1.0)
                    .unwrap_or_else(|e| panic!("`{name}`, {size} ranks: {e}"));
            }
            assert!(got.iter().zip(&reports).all(|(a, b)| (a.loss - b.loss).abs() < 1e-12));
        }
    }
    let cpu = |count| shared("cpu", &model, &recipe, (2, Reduction::Once), count).remove(0).1;
    let (once, again) = (cpu(3), cpu(3));
    assert_eq!(different(&once, &again), Vec::<String>::new(), "the same ranks give the same bits");
}

#[test]
fn a_number_of_ranks_that_does_not_divide_the_work_is_refused() {
    let (model, recipe) = example();
    let results = on_ranks(3, NEVER, |_, end| {
        let mut backend = Reference::new();
        let mut ranks = HostCollective::new(&mut backend, end);
        pollster::block_on(Trainer::new(&mut ranks, &model, &recipe, Reduction::InOrder)).err()
    });
    for error in results {
        let error = error.expect("no panic").expect("three do not divide eight");
        assert!(matches!(error, TrainError::Ranks { ranks: 3, runs: 8 }), "{error}");
    }
}

/// A rank's part in a run: its outcome and what it told.
type Ended = (Result<Outcome, TrainError>, Vec<Event>);

/// Runs a whole job on `size` ranks; `interrupted` is asked with the rank and how often it was asked before.
fn session(
    folder: &Path,
    out: &str,
    size: usize,
    lateness: Duration,
    interrupted: impl Fn(usize, usize) -> bool + Sync,
) -> Vec<std::thread::Result<Ended>> {
    let (model, recipe) = example();
    let paths = shards(folder);
    let out = folder.join(out);
    std::fs::create_dir_all(&out).expect("a folder is made");
    on_ranks(size, lateness, |rank, end| {
        let asked = Cell::new(0);
        let interrupted = || interrupted(rank, asked.replace(asked.get() + 1));
        let job = Job {
            model: model.clone(),
            recipe: recipe.clone(),
            train: Feed::new(open(&paths)),
            validation: Some(Validation::new(open(&paths), 16, 3, 200, None).expect("enough tokens")),
            tokenizer: None,
            out: out.clone(),
            resume: Resume::Auto,
            checkpoint_every: Every::Steps(4),
            checkpoint_keep: 5,
            validate_every: 5,
            interrupted: &interrupted,
        };
        let mut backend = Cpu::with_threads(1);
        let mut events = Vec::new();
        let mut sink = |event: &Event| events.push(event.clone());
        let result = if size == 1 {
            pollster::block_on(golf_core::train::session::run(&mut backend, job, &mut sink))
        } else {
            let mut ranks = HostCollective::new(&mut backend, end);
            pollster::block_on(run_on_ranks(&mut ranks, Reduction::InOrder, job, &mut sink))
        };
        (result, events)
    })
}

fn ended(results: Vec<std::thread::Result<Ended>>) -> Vec<Ended> {
    results.into_iter().map(|result| result.expect("no rank panics")).collect()
}

/// What does not depend on time: losses and scores.
fn told(events: &[Event]) -> Vec<String> {
    let line = |event: &Event| match event {
        Event::Step { step, loss, grad_norm, lr_scale, .. } => {
            Some(format!("step {step} {loss:?} {grad_norm:?} {lr_scale:?}"))
        }
        Event::Validation { step, loss, .. } => Some(format!("validation {step} {loss:?}")),
        Event::Averaged { loss, .. } => Some(format!("averaged {loss:?}")),
        Event::Final { loss, .. } => Some(format!("final {loss:?}")),
        _ => None,
    };
    events.iter().filter_map(line).collect()
}

#[test]
fn a_whole_run_writes_the_same_checkpoints_and_artifact_on_any_number_of_ranks() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path();
    let (one, whole) = ended(session(path, "1", 1, NEVER, |_, _| false)).remove(0);
    let Ok(Outcome::Finished { bytes, score, .. }) = one else { panic!("{one:?}") };
    let read = |out: &str| std::fs::read(path.join(out).join("artifact.bin")).expect("an artifact");
    for size in RANKS {
        let name = size.to_string();
        for (rank, (result, events)) in
            ended(session(path, &name, size, NEVER, |_, _| false)).iter().enumerate()
        {
            let Ok(Outcome::Finished { bytes: b, score: s, .. }) = result else { panic!("{result:?}") };
            assert_eq!((b, s), (&bytes, &score), "rank {rank} of {size}");
            assert_eq!(told(events), told(&whole), "rank {rank} of {size}");
        }
        assert!(read("1") == read(&name), "{size} ranks: another artifact");
        for step in [4, 8, 10] {
            let load =
                |out: &str| Checkpoint::load(&path.join(out).join(file_name(step))).expect("a checkpoint");
            let (a, b) = (load("1"), load(&name));
            assert_eq!((a.meta.progress, a.meta.position), (b.meta.progress, b.meta.position));
            assert!(a.states == b.states, "{size} ranks, step {step}");
        }
    }
}

#[test]
fn a_signal_to_any_rank_stops_all_after_the_same_step_and_any_number_of_ranks_goes_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path();
    ended(session(path, "whole", 1, NEVER, |_, _| false));
    // Rank 2 of 4 is asked to stop after its third step, rank 1 of 2 three steps later; one rank does the rest.
    for (size, victim, step) in [(4, 2, 3), (2, 1, 6)] {
        for (result, events) in ended(session(path, "parts", size, NEVER, |rank, n| rank == victim && n == 2))
        {
            assert_eq!(result.expect("an interrupted run is well"), Outcome::Interrupted);
            let last = events.last().expect("events");
            assert!(matches!(last, Event::Interrupted { step: s, .. } if *s == step), "{last:?}");
        }
        assert!(path.join("parts").join(file_name(step)).exists());
    }
    ended(session(path, "parts", 1, NEVER, |_, _| false));
    let read = |out: &str| std::fs::read(path.join(out).join("artifact.bin")).expect("an artifact");
    assert!(read("whole") == read("parts"));
}

#[test]
fn a_rank_that_dies_in_training_ends_all_others_with_its_number() {
    let folder = tempfile::tempdir().expect("a folder");
    let begin = Instant::now();
    let results = session(folder.path(), "out", 4, NEVER, |rank, n| {
        assert!(rank != 2 || n < 2, "dies on purpose");
        false
    });
    for (rank, result) in results.into_iter().enumerate() {
        let Ok((result, _)) = result else {
            assert_eq!(rank, 2);
            continue;
        };
        let Err(TrainError::Collective(error)) = result else { panic!("rank {rank}: {result:?}") };
        assert_eq!(error.culprit(), Some(2), "rank {rank}: {error}");
    }
    assert!(begin.elapsed() < Duration::from_secs(30), "{:?}", begin.elapsed());
    assert!(!folder.path().join("out/artifact.bin").exists());
}

#[test]
fn a_rank_that_hangs_in_training_is_named_with_the_call_that_waits() {
    let folder = tempfile::tempdir().expect("a folder");
    let lateness = Duration::from_secs(3);
    let results = session(folder.path(), "out", 2, lateness, |rank, n| {
        if rank == 1 && n == 1 {
            std::thread::sleep(3 * lateness);
        }
        false
    });
    let (first, _) = ended(results).remove(0);
    let Err(TrainError::Collective(error)) = first else { panic!("{first:?}") };
    let CollectiveError::Late { ranks, call, .. } = &error else { panic!("{error}") };
    assert_eq!((&ranks[..], call.as_str()), (&[1][..], "interruption"), "{error}");
}

#[test]
fn a_divergence_on_one_rank_ends_all() {
    let (model, recipe) = example();
    let folder = tempfile::tempdir().expect("a folder");
    let paths = shards(folder.path());
    let results = on_ranks(2, NEVER, |rank, end| {
        let mut feed = Feed::new(open(&paths));
        let mut backend = Reference::new();
        let mut ranks = HostCollective::new(&mut backend, end);
        pollster::block_on(async {
            let mut trainer =
                Trainer::new(&mut ranks, &model, &recipe, Reduction::InOrder).await.expect("it compiles");
            if rank == 1 {
                let bad = Tensor::f64(&[model.vocab, model.dim], vec![f64::NAN; model.vocab * model.dim]);
                trainer.backend().write_state("tok_emb.weight", &bad).expect("a parameter");
            }
            trainer.step(&mut feed, 0.0).await.expect_err("a loss is NaN")
        })
    });
    for error in results {
        let error = error.expect("no panic");
        assert!(matches!(error, TrainError::NotFinite { step: 0, what: "loss", .. }), "{error}");
    }
}

#[test]
fn ranks_with_other_settings_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let paths = shards(folder.path());
    let results = on_ranks(2, NEVER, |rank, end| {
        let (model, mut recipe) = example();
        recipe.seed += rank as u64;
        let job = Job {
            model,
            recipe,
            train: Feed::new(open(&paths)),
            validation: None,
            tokenizer: None,
            out: folder.path().to_path_buf(),
            resume: Resume::Off,
            checkpoint_every: Every::Never,
            checkpoint_keep: 1,
            validate_every: 0,
            interrupted: &|| false,
        };
        let mut backend = Reference::new();
        let mut ranks = HostCollective::new(&mut backend, end);
        pollster::block_on(run_on_ranks(&mut ranks, Reduction::InOrder, job, &mut |_: &Event| ()))
            .unwrap_err()
    });
    let mut saw_for_themselves = 0;
    for (rank, error) in results.into_iter().enumerate() {
        match error.expect("no panic") {
            TrainError::Unlike { rank: other, what: "configuration", .. } => {
                assert_eq!(other, 1 - rank);
                saw_for_themselves += 1;
            }
            // The other one saw it first and said so.
            TrainError::Collective(CollectiveError::Failed { rank: other, reason }) => {
                assert_eq!(other, 1 - rank);
                assert!(reason.contains("another configuration"), "{reason}");
            }
            error => panic!("{error}"),
        }
    }
    assert!(saw_for_themselves >= 1);
}
