//! Collectives on devices, emulated, over a link that goes through the host: what lies where afterwards is what the host's own
//! collective leaves there.

use golf_core::backend::{Backend, BackendError};
use golf_core::collective::threads::{ThreadTransport, group};
use golf_core::collective::{Bank, Call, Collective, CollectiveError, HostCollective, Transport};
use golf_core::tensor::Tensor;
use golf_cuda::{Cuda, DeviceCollective, Driver, Emulator, Link, Memory, Move, Order};
use pollster::block_on;
use std::sync::Arc;
use std::time::Duration;

/// Emulated devices connected by threads.
struct Threads(ThreadTransport);

impl Link<Emulator> for Threads {
    fn run(&mut self, driver: &mut Emulator, moves: &[(Memory, usize, Move)]) -> Result<(), BackendError> {
        for (buffer, words, what) in moves {
            let own = driver.read(buffer, *words)?;
            let message = Arc::new(own.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>());
            let all =
                self.0.exchange(Call::step("a move"), vec![message; self.0.size()]).expect("all are here");
            let values = |rank: usize| -> Vec<f32> {
                let word = |bytes: &[u8]| f32::from_le_bytes(bytes.try_into().expect("chunks of 4 bytes"));
                all[rank].chunks_exact(4).map(word).collect()
            };
            let sum = || {
                (1..all.len())
                    .fold(values(0), |sum, r| sum.iter().zip(values(r)).map(|(a, b)| a + b).collect())
            };
            let moved = match *what {
                Move::Sum => sum(),
                Move::SumAt(root) if root == self.0.rank() => sum(),
                // What is left elsewhere is unspecified.
                Move::SumAt(_) => vec![f32::NAN; *words],
                Move::From(root) => values(root),
            };
            driver.upload(&moved.into_iter().map(f32::to_bits).collect::<Vec<_>>(), buffer)?;
        }
        Ok(())
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
            exercised(&mut DeviceCollective::new(&mut cuda, &mut transport, Threads(link)))
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
    let mut collective = DeviceCollective::new(&mut cuda, &mut transport, Threads(link));
    let error =
        block_on(collective.all_reduce(Call::step("here"), &states()[..1])).expect_err("rank 1 is elsewhere");
    assert!(
        matches!(error, CollectiveError::OutOfStep { rank: 1, .. } | CollectiveError::Lost { rank: 1, .. }),
        "{error}"
    );
    lost.join().expect("it only exchanges");
}
