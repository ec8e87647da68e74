//! Sums, ownership and failures, on threads with the oracle and the CPU.

use super::threads::{ThreadTransport, group};
use super::*;
use crate::cpu::Cpu;
use crate::reference::Reference;
use crate::tensor::Tensor;
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_millis(300);
const NEVER: Duration = Duration::from_secs(60);

/// Runs `body` on every rank of a group, each in a thread of its own; what they return, in rank order.
fn ranks<R: Send>(
    size: usize,
    lateness: Duration,
    body: impl Fn(usize, ThreadTransport) -> R + Sync,
) -> Vec<std::thread::Result<R>> {
    std::thread::scope(|scope| {
        let spawn = |(rank, end)| {
            scope.spawn({
                let body = &body;
                move || body(rank, end)
            })
        };
        let threads: Vec<_> = group(size, lateness).into_iter().enumerate().map(spawn).collect();
        threads.into_iter().map(std::thread::ScopedJoinHandle::join).collect()
    })
}

/// Values whose sum depends on the order.
fn value(rank: usize, i: usize) -> f32 {
    ((rank * 7919 + i * 104_729) % 1013) as f32 * 10f32.powi((rank + i) as i32 % 9 - 4) - 0.3
}

fn names(count: usize) -> Vec<String> {
    (0..count).map(|i| format!("s{i}")).collect()
}

#[test]
fn sums_have_the_bits_of_a_sum_in_rank_order_on_every_rank() {
    for size in [1, 2, 3, 5, 8] {
        let want: Vec<u32> = (0..13)
            .map(|i| (1..size).fold(value(0, i), |sum, rank| sum + value(rank, i)).to_bits())
            .collect();
        let results = ranks(size, NEVER, |rank, mut end| {
            let mut backend = Cpu::with_threads(1);
            let shapes: [&[usize]; 3] = [&[2, 3], &[], &[6]];
            let mut next = 0..;
            for (name, shape) in names(3).iter().zip(shapes) {
                let count = shape.iter().product();
                let values = next.by_ref().take(count).map(|i| value(rank, i)).collect();
                backend.write_state(name, &Tensor::f32(shape, values)).unwrap();
            }
            let mut collective = HostCollective::new(&mut backend, &mut end);
            pollster::block_on(collective.all_reduce(Call::step("sum"), &names(3))).unwrap();
            let mut bits = Vec::new();
            for name in names(3) {
                let tensor = pollster::block_on(backend.read_state(&name)).unwrap();
                bits.extend(tensor.to_f32().into_iter().map(f32::to_bits));
            }
            end.finish();
            bits
        });
        assert!(results.into_iter().all(|bits| bits.unwrap() == want), "{size} ranks");
    }
}

#[test]
fn banks_are_summed_on_their_owners_and_handed_to_all() {
    for (size, count) in [(2, 5), (4, 5), (8, 5), (3, 1), (4, 8)] {
        let results = ranks(size, NEVER, |rank, mut end| {
            let mut backend = Reference::new();
            for (i, name) in names(count).iter().enumerate() {
                let values = (0..6).map(|j| f64::from(value(rank, 6 * i + j))).collect();
                backend.write_state(name, &Tensor::f64(&[2, 3], values)).unwrap();
            }
            let banks = [Bank::new(names(count), &[2, 3], size)];
            let mut collective = HostCollective::new(&mut backend, &mut end);
            pollster::block_on(collective.reduce_scatter(Call::step("scatter"), &banks)).unwrap();
            for name in names(count).iter().filter(|name| !banks[0].owned(rank).contains(name)) {
                let nothing = Tensor::f64(&[2, 3], vec![f64::NAN; 6]);
                collective.backend().write_state(name, &nothing).unwrap();
            }
            pollster::block_on(collective.all_gather(Call::step("gather"), &banks)).unwrap();
            let read = |name: &String| pollster::block_on(backend.read_state(name)).unwrap().to_f64();
            names(count).iter().flat_map(read).collect::<Vec<f64>>()
        });
        let sum = |i: usize| (1..size).fold(f64::from(value(0, i)), |sum, r| sum + f64::from(value(r, i)));
        let want: Vec<f64> = (0..6 * count).map(sum).collect();
        assert!(results.into_iter().all(|got| got.unwrap() == want), "{size} ranks, {count} states");
    }
}

#[test]
fn owners_of_a_bank_partition_it_as_padding_would() {
    for (count, size, per_rank) in [(22, 8, 3), (11, 8, 2), (12, 8, 2), (24, 8, 3), (3, 8, 1), (5, 1, 5)] {
        let bank = Bank::new(names(count), &[1], size);
        let dealt: Vec<&String> = (0..size).flat_map(|rank| bank.owned(rank)).collect();
        assert_eq!(dealt, bank.states().iter().collect::<Vec<_>>());
        assert_eq!(bank.owned(0).len(), per_rank, "{count} over {size}");
    }
    let bank = Bank::new(names(5), &[4, 2], 2);
    let squares = bank.beside(|name| format!("squares/{name}"), &[]);
    assert_eq!(squares.owned(1), ["squares/s3", "squares/s4"]);
}

#[test]
fn rank_zero_gives_its_states_and_messages_to_all() {
    let results = ranks(4, NEVER, |rank, mut end| {
        let mut backend = Cpu::with_threads(1);
        backend.write_state("s0", &Tensor::f32(&[2], vec![rank as f32, f32::NAN])).unwrap();
        let mut collective = HostCollective::new(&mut backend, &mut end);
        pollster::block_on(collective.broadcast(Call::step("give"), &names(1))).unwrap();
        let messages = collective.gather(Call::step("say"), vec![rank as u8; rank]).unwrap();
        let lengths: Vec<usize> = messages.iter().map(|message| message.len()).collect();
        (pollster::block_on(backend.read_state("s0")).unwrap().to_f32()[0], lengths)
    });
    assert!(results.into_iter().all(|got| got.unwrap() == (0.0, vec![0, 1, 2, 3])));
}

/// Every rank meets the others until one fails; what the ranks but `victim` are told.
fn failures(
    lateness: Duration,
    victim: usize,
    fail: impl Fn(ThreadTransport) + Sync,
) -> Vec<CollectiveError> {
    let results = ranks(4, lateness, |rank, mut end| {
        let mut backend = Reference::new();
        let meet = |end: &mut ThreadTransport, backend: &mut Reference, step: u64| {
            HostCollective::new(backend, end).barrier(Call::step(&format!("step {step}")))
        };
        if rank == victim {
            meet(&mut end, &mut backend, 0).unwrap();
            fail(end);
            return None;
        }
        // A slow rank may still be at step 0 when a faster one tells it.
        let error = (0..9).find_map(|step| meet(&mut end, &mut backend, step).err()).unwrap();
        match &error {
            CollectiveError::Failed { rank, reason } => end.abort(*rank, reason),
            other => end.abort(other.culprit().unwrap(), &other.to_string()),
        }
        Some(error)
    });
    results.into_iter().filter_map(|result| result.ok().flatten()).collect()
}

#[test]
fn a_rank_that_panics_fails_all_others_with_its_number() {
    let begin = Instant::now();
    let errors = failures(NEVER, 2, |_end| panic!("on purpose"));
    assert_eq!(errors.len(), 3);
    for error in &errors {
        assert_eq!(error.culprit(), Some(2), "{error}");
        assert!(error.to_string().contains("its thread panicked"), "{error}");
        assert!(error.to_string().contains("`step 1`"), "{error}");
    }
    assert!(begin.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_rank_that_fails_says_why_to_all_others() {
    for error in failures(NEVER, 1, |mut end| end.abort(1, "the disk is full")) {
        assert_eq!(error, CollectiveError::Failed { rank: 1, reason: "the disk is full".to_owned() });
    }
}

#[test]
fn a_rank_that_returns_early_is_missed_by_name() {
    for error in failures(NEVER, 3, ThreadTransport::finish) {
        assert_eq!(error.culprit(), Some(3), "{error}");
        assert!(error.to_string().contains("it ended its run before"), "{error}");
    }
}

#[test]
fn a_rank_that_hangs_is_named_with_the_call_that_waits_for_it() {
    let errors = failures(SOON, 0, |end| {
        std::thread::sleep(4 * SOON);
        drop(end);
    });
    assert_eq!(errors.len(), 3);
    let late = errors.iter().find_map(|error| match error {
        CollectiveError::Late { ranks, call, waited } => Some((ranks.clone(), call.clone(), *waited)),
        _ => None,
    });
    let (late, call, waited) = late.expect("whoever notices first sees it itself");
    assert_eq!((late, call.as_str()), (vec![0], "step 1"));
    assert!(waited >= SOON && waited < 4 * SOON, "{waited:?}");
    // Those that a faster rank told blame the same one.
    assert!(errors.iter().all(|error| error.culprit() == Some(0)), "{errors:?}");
}

#[test]
fn patience_without_limit_waits_for_a_late_rank() {
    let results = ranks(2, SOON, |rank, mut end| {
        if rank == 0 {
            std::thread::sleep(2 * SOON);
        }
        let mut backend = Reference::new();
        let met = HostCollective::new(&mut backend, &mut end).barrier(Call::unlimited("the artifact"));
        end.finish();
        met
    });
    assert!(results.into_iter().all(|result| result.unwrap().is_ok()));
}

#[test]
fn ranks_at_different_calls_are_told_so() {
    let results = ranks(2, NEVER, |rank, mut end| {
        let mut backend = Reference::new();
        let name = format!("call {rank}");
        HostCollective::new(&mut backend, &mut end).barrier(Call::step(&name)).unwrap_err()
    });
    for (rank, error) in results.into_iter().enumerate() {
        let other = 1 - rank;
        let (expected, got) = (format!("call {rank}"), format!("call {other}"));
        assert_eq!(error.unwrap(), CollectiveError::OutOfStep { rank: other, expected, got });
    }
}

#[test]
fn states_of_another_size_or_width_are_refused() {
    let results = ranks(2, NEVER, |rank, mut end| {
        let mut backend = Reference::new();
        let mut cpu = Cpu::with_threads(1);
        let tensor = |n: usize| Tensor::f32(&[n], vec![1.0; n]);
        backend.write_state("s0", &tensor(4)).unwrap();
        cpu.write_state("s0", &tensor(4)).unwrap();
        let backend: &mut dyn Backend = if rank == 0 { &mut backend } else { &mut cpu };
        let mut collective = HostCollective::new(backend, &mut end);
        pollster::block_on(collective.all_reduce(Call::step("sum"), &names(1))).unwrap_err()
    });
    for error in results {
        assert!(matches!(error.unwrap(), CollectiveError::Payload { expected: 2, .. }));
    }
}

#[test]
fn alone_every_collective_changes_nothing() {
    let mut backend = Reference::new();
    backend.write_state("s0", &Tensor::f64(&[2], vec![1.5, -0.0])).unwrap();
    let mut alone = Alone::new(&mut backend);
    let bank = [Bank::new(names(1), &[2], 1)];
    pollster::block_on(async {
        alone.all_reduce(Call::step("a"), &names(1)).await.unwrap();
        alone.reduce_scatter(Call::step("b"), &bank).await.unwrap();
        alone.all_gather(Call::step("c"), &bank).await.unwrap();
        alone.broadcast(Call::step("d"), &names(1)).await.unwrap();
        assert_eq!(alone.gather(Call::step("e"), vec![7]).unwrap(), [Arc::new(vec![7])]);
        let kept = alone.backend().read_state("s0").await.unwrap();
        assert_eq!(
            kept.to_f64().iter().map(|x| x.to_bits()).collect::<Vec<_>>(),
            [1.5f64, -0.0].map(f64::to_bits)
        );
    });
}
