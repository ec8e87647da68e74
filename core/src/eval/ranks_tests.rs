//! Evaluations on 2, 3 and 5 ranks, each a thread with a backend of its own, against one rank: equal to the last bit.

use super::super::tests::{SGD, model, options, stream, ttt};
use super::super::{AdaptOptions, Evaluator, Receipt, TttOptimizer};
use super::*;
use crate::collective::threads::{ThreadTransport, group};
use crate::collective::{Alone, HostCollective};
use crate::cpu::Cpu;
use pollster::block_on;
use std::time::Duration;

/// Scores and receipt of an evaluation of 60 targets in chunks of 16.
fn evaluate(
    ranks: Box<dyn Collective + '_>,
    seed: u64,
    adapt: Option<AdaptOptions>,
) -> Result<(Vec<u64>, Receipt), EvalError> {
    let model = model();
    let mut evaluator =
        block_on(Evaluator::on_ranks(ranks, &model, stream(60, seed), options(3, 16), adapt))?;
    let mut scores = Vec::new();
    while let Some(chunk) = evaluator.next_chunk() {
        let scored = block_on(evaluator.score(chunk))?;
        scores.extend(scored.targets().map(|(_, nll)| nll.to_bits()));
        block_on(evaluator.adapt(scored))?;
    }
    Ok((scores, evaluator.receipt()?))
}

/// The same on every rank of a group; rank `r` scores the stream of `seed(r)`.
fn on_ranks(
    size: usize,
    adapt: &Option<AdaptOptions>,
    seed: impl Fn(usize) -> u64 + Sync,
) -> Vec<Result<(Vec<u64>, Receipt), EvalError>> {
    std::thread::scope(|scope| {
        let spawn = |(rank, mut end): (usize, ThreadTransport)| {
            let seed = seed(rank);
            scope.spawn(move || {
                let mut cpu = Cpu::with_threads(1);
                let result = evaluate(Box::new(HostCollective::new(&mut cpu, &mut end)), seed, adapt.clone());
                end.finish();
                result
            })
        };
        let threads: Vec<_> =
            group(size, Duration::from_secs(60)).into_iter().enumerate().map(spawn).collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    })
}

#[test]
fn any_number_of_ranks_gives_the_bits_of_one() {
    for adapt in [None, ttt(SGD), ttt(TttOptimizer::Adamw)] {
        let mut cpu = Cpu::with_threads(1);
        let alone = evaluate(Box::new(Alone::new(&mut cpu)), 3, adapt.clone());
        assert!(alone.is_ok(), "{alone:?}");
        for size in [2, 3, 5] {
            for shared in on_ranks(size, &adapt, |_| 3) {
                assert_eq!(shared, alone, "{size} ranks");
            }
        }
    }
}

#[test]
fn a_rank_with_another_text_is_named_by_all() {
    for result in on_ranks(3, &None, |rank| if rank == 1 { 4 } else { 3 }) {
        let error = result.expect_err("rank 1 has another text");
        assert!(matches!(error, EvalError::RanksDisagree { rank: 1, .. }), "{error}");
    }
}

#[test]
fn every_micro_batch_counts_once_and_all_ranks_add_up_together() {
    for (runs, size, ordered) in (1..9).flat_map(|n| [1, 2, 4].map(|size| (n, size, true))) {
        let of_ranks: Vec<Vec<Turn>> = (0..size).map(|rank| turns(runs, (rank, size), ordered)).collect();
        let mut counted: Vec<usize> = of_ranks.iter().flatten().filter(|t| t.counts).map(|t| t.run).collect();
        counted.sort_unstable();
        assert_eq!(counted, (0..runs).collect::<Vec<_>>(), "{runs} over {size}");
        let reduces = |turns: &Vec<Turn>| turns.iter().map(|t| t.reduce).collect::<Vec<_>>();
        assert!(of_ranks.iter().all(|turns| reduces(turns) == reduces(&of_ranks[0])));
    }
}

#[test]
fn sums_in_order_lie_on_the_first_rank_and_others_where_they_were_formed() {
    let keeps = |rank, ordered| turns(5, (rank, 2), ordered).iter().map(|t| t.keep).collect::<Vec<_>>();
    assert_eq!((keeps(0, true), keeps(1, true)), (vec![false, true, true], vec![false; 3]));
    assert_eq!(keeps(1, false), [false, true, true]);
    let reduces: Vec<bool> = turns(5, (1, 2), false).iter().map(|t| t.reduce).collect();
    assert_eq!(reduces, [false, false, true]);
    assert!(turns(3, (0, 1), true).iter().all(|t| !t.reduce && t.counts));
}
