//! Collectives on devices, emulated, over a link that goes through the host: what lies where afterwards is what the host's own
//! collective leaves there.

use golf_core::backend::{Backend, BackendError};
use golf_core::collective::threads::{ThreadTransport, group};
use golf_core::collective::{Bank, Call, Collective, CollectiveError, HostCollective, Transport};
use golf_core::data::{TokenStream, shard};
use golf_core::model::ModelConfig;
use golf_core::tensor::Tensor;
use golf_core::train::feed::Feed;
use golf_core::train::share::Reduction;
use golf_core::train::trainer::Trainer;
use golf_core::train::{Recipe, preset};
use golf_cuda::{Cuda, DeviceCollective, Driver, Emulator, Link, Memory, Move, Order};
use pollster::block_on;
use std::cell::Cell;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// When a link does what it was asked for: both ends of what it may do.
#[derive(Clone, Copy, PartialEq)]
enum Begins {
    AtOnce,
    WhenWaitedFor,
}

/// Emulated devices connected by threads.
struct Threads {
    transport: ThreadTransport,
    begins: Begins,
    waiting: Vec<(Memory, usize, Move)>,
    /// How often it was asked for moves.
    runs: Rc<Cell<usize>>,
}

impl Threads {
    fn new(transport: ThreadTransport, begins: Begins) -> Self {
        Self { transport, begins, waiting: Vec::new(), runs: Rc::default() }
    }

    fn finish(&mut self, driver: &mut Emulator) -> Result<(), BackendError> {
        for (buffer, words, what) in std::mem::take(&mut self.waiting) {
            let own = driver.read(&buffer, words)?;
            let message = Arc::new(own.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>());
            let all = self.transport.exchange(Call::step("a move"), vec![message; self.transport.size()]);
            let all = all.expect("all are here");
            let values = |rank: usize| -> Vec<f32> {
                let word = |bytes: &[u8]| f32::from_le_bytes(bytes.try_into().expect("chunks of 4 bytes"));
                all[rank].chunks_exact(4).map(word).collect()
            };
            let sum = || {
                (1..all.len())
                    .fold(values(0), |sum, r| sum.iter().zip(values(r)).map(|(a, b)| a + b).collect())
            };
            let moved = match what {
                Move::Sum => sum(),
                Move::SumAt(root) if root == self.transport.rank() => sum(),
                // What is left elsewhere is unspecified.
                Move::SumAt(_) => vec![f32::NAN; words],
                Move::From(root) => values(root),
            };
            driver.upload(&moved.into_iter().map(f32::to_bits).collect::<Vec<_>>(), &buffer)?;
        }
        Ok(())
    }
}

impl Link<Emulator> for Threads {
    fn run(
        &mut self,
        driver: &mut Emulator,
        _call: &str,
        moves: &[(Memory, usize, Move)],
    ) -> Result<(), BackendError> {
        self.runs.set(self.runs.get() + 1);
        self.waiting.extend_from_slice(moves);
        if self.begins == Begins::AtOnce { self.finish(driver) } else { Ok(()) }
    }

    fn join(&mut self, driver: &mut Emulator) -> Result<(), BackendError> {
        self.finish(driver)
    }
}

fn states() -> Vec<String> {
    ["a", "b", "c", "d", "e"].map(str::to_owned).into()
}

/// The states of `names` as rank `rank` has them after every kind of collective.
fn exercised(collective: &mut dyn Collective) -> Result<Vec<Vec<f32>>, CollectiveError> {
    let (rank, size) = (collective.rank(), collective.size());
    let bank = Bank::new(states(), &[2, 3], size);
    let reset = |collective: &mut dyn Collective| {
        for (i, name) in states().iter().enumerate() {
            let values = (0..6).map(|j| (100 * rank + 10 * i + j) as f32).collect();
            collective
                .backend()
                .write_state(name, &Tensor::f32(&[2, 3], values))
                .expect("a state of this type");
        }
    };
    let read = |collective: &mut dyn Collective, names: &[String]| -> Vec<Vec<f32>> {
        let read = |name: &String| block_on(collective.backend().read_state(name)).expect("a state").to_f32();
        names.iter().map(read).collect()
    };
    let mut seen = Vec::new();
    reset(collective);
    block_on(collective.all_reduce(Call::step("sum"), &states()[1..4]))?;
    seen.extend(read(collective, &states()));
    reset(collective);
    block_on(collective.reduce_scatter(Call::step("scatter"), std::slice::from_ref(&bank)))?;
    seen.extend(read(collective, bank.owned(rank)));
    reset(collective);
    block_on(collective.all_gather(Call::step("gather"), std::slice::from_ref(&bank)))?;
    seen.extend(read(collective, &states()));
    reset(collective);
    block_on(collective.broadcast(Call::step("spread"), &states()[..2]))?;
    seen.extend(read(collective, &states()));
    // A bank of states that only their owners have.
    let made = bank.beside(|name| format!("made/{name}"), &[]);
    for name in made.owned(rank) {
        collective.backend().write_state(name, &Tensor::f32(&[], vec![rank as f32])).expect("a new state");
    }
    block_on(collective.all_gather(Call::step("numbers"), std::slice::from_ref(&made)))?;
    seen.extend(read(collective, made.states()));
    Ok(seen)
}

/// Every rank's view, on devices or through the host.
fn run(size: usize, on_devices: bool) -> Option<Vec<Vec<Vec<f32>>>> {
    let patience = Duration::from_secs(60);
    let ends = group(size, patience).into_iter().zip(group(size, patience));
    let rank = |(mut transport, link): (ThreadTransport, ThreadTransport)| {
        let emulator = Emulator::new(Order::Forwards).map_err(|reason| println!("SKIPPED: {reason}")).ok()?;
        let mut cuda = Cuda::over(emulator);
        let seen = if on_devices {
            exercised(&mut DeviceCollective::new(
                &mut cuda,
                &mut transport,
                Threads::new(link, Begins::AtOnce),
            ))
        } else {
            exercised(&mut HostCollective::new(&mut cuda, &mut transport))
        };
        transport.finish();
        Some(seen.expect("no rank fails"))
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = ends.map(|end| scope.spawn(move || rank(end))).collect();
        threads.into_iter().map(|thread| thread.join().expect("no rank panics")).collect()
    })
}

#[test]
fn collectives_on_devices_leave_what_the_hosts_leave() {
    for size in [1, 2, 4, 8] {
        let (Some(devices), Some(hosts)) = (run(size, true), run(size, false)) else { return };
        assert_eq!(devices, hosts, "{size} ranks");
    }
}

#[test]
fn a_rank_at_another_call_is_named_before_anything_is_queued() {
    let mut ends: Vec<_> =
        group(2, Duration::from_secs(60)).into_iter().zip(group(2, Duration::from_secs(60))).collect();
    let (other, _unused) = ends.pop().expect("two ends");
    let (mut transport, link) = ends.pop().expect("two ends");
    let lost = std::thread::spawn(move || {
        let mut other = other;
        let outgoing = vec![Arc::default(); 2];
        let _out_of_step = other.exchange(Call::step("elsewhere"), outgoing);
    });
    let Ok(emulator) = Emulator::new(Order::Forwards).map_err(|reason| println!("SKIPPED: {reason}")) else {
        return;
    };
    let mut cuda = Cuda::over(emulator);
    cuda.write_state("a", &Tensor::f32(&[1], vec![1.0])).expect("a new state");
    let mut collective = DeviceCollective::new(&mut cuda, &mut transport, Threads::new(link, Begins::AtOnce));
    let error =
        block_on(collective.all_reduce(Call::step("here"), &states()[..1])).expect_err("rank 1 is elsewhere");
    assert!(
        matches!(error, CollectiveError::OutOfStep { rank: 1, .. } | CollectiveError::Lost { rank: 1, .. }),
        "{error}"
    );
    lost.join().expect("it only exchanges");
}

/// States by name, and how often a link was asked for moves.
type Trained = (Vec<(String, Tensor)>, usize);

/// Every state of rank `end` after three steps of training on emulated devices; over the hosts where there is no link.
fn trained(
    (mut transport, link): (ThreadTransport, ThreadTransport),
    begins: Option<Begins>,
    folder: &Path,
) -> Option<Trained> {
    let emulator = Emulator::new(Order::Forwards).map_err(|reason| println!("SKIPPED: {reason}")).ok()?;
    let preset = preset("nano", false).expect("a preset");
    let model = ModelConfig { layers: 3, ..preset.model };
    // Two micro-batches on each of two ranks.
    let recipe = Recipe {
        train_batch_tokens: 256,
        grad_accum_steps: 4,
        grad_clip_norm: 0.3,
        iterations: 3,
        ..preset.recipe
    };
    let shard = vec![folder.join("t_train_000000.bin")];
    let mut feed = Feed::new(TokenStream::open(shard).expect("a shard"));
    let mut cuda = Cuda::over(emulator).with_poison();
    let mut runs = Rc::default();
    let mut collective: Box<dyn Collective> = match begins {
        None => Box::new(HostCollective::new(&mut cuda, &mut transport)),
        Some(begins) => {
            let link = Threads::new(link, begins);
            runs = Rc::clone(&link.runs);
            Box::new(DeviceCollective::new(&mut cuda, &mut transport, link).with_group(8192))
        }
    };
    let states = block_on(async {
        let mut trainer = Trainer::new(collective.as_mut(), &model, &recipe, Reduction::Once).await?;
        for _ in 0..3 {
            trainer.step(&mut feed, 0.0).await?;
        }
        trainer.gather().await?;
        trainer.snapshot().await
    });
    drop(collective);
    transport.finish();
    Some((states.expect("no rank fails"), runs.get()))
}

#[test]
fn sums_that_begin_while_gradients_are_made_are_those_made_afterwards() {
    let folder = tempfile::tempdir().expect("a folder");
    let tokens: Vec<u16> = (0..1100u32).map(|i| ((i * i / 7 + 3 * i) % 64) as u16).collect();
    shard::write(&folder.path().join("t_train_000000.bin"), &tokens).expect("a shard is written");
    let run = |begins: Option<Begins>| -> Option<Vec<Trained>> {
        let patience = Duration::from_secs(60);
        let ends = group(2, patience).into_iter().zip(group(2, patience));
        let folder = folder.path();
        std::thread::scope(|scope| {
            let threads: Vec<_> = ends.map(|end| scope.spawn(move || trained(end, begins, folder))).collect();
            threads.into_iter().map(|thread| thread.join().expect("no rank panics")).collect()
        })
    };
    let Some(hosts) = run(None) else { return };
    for begins in [Begins::AtOnce, Begins::WhenWaitedFor] {
        for ((got, runs), (expected, _)) in run(Some(begins)).expect("as before").iter().zip(&hosts) {
            for ((name, got), (_, expected)) in got.iter().zip(expected) {
                assert_eq!(got.to_f32(), expected.to_f32(), "{name}");
            }
            // Two more a step are the norm's and the weights', and one is the moments'.
            assert!(*runs > 3 * (3 + 2) + 1, "{runs} calls are not several sums a step");
        }
    }
}
