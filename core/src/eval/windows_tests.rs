use super::*;
use proptest::prelude::*;

fn triples(rule: WindowRule, targets: usize, window: usize, stride: usize) -> Vec<[usize; 3]> {
    let plan = WindowPlan::new(rule, targets, window, stride).expect("a valid plan");
    plan.iter().map(|w| [w.start, w.end, w.first_scored]).collect()
}

fn scored(plan: &WindowPlan) -> usize {
    plan.iter().map(|w| w.scored()).sum()
}

#[test]
fn plans_equal_the_independent_examples() {
    use WindowRule::{Exact, Original, OriginalMin1};
    assert_eq!(triples(Original, 20, 32, 8), [[0, 20, 0], [8, 20, 12]]);
    assert_eq!(triples(OriginalMin1, 20, 32, 8), [[0, 20, 0], [8, 20, 12], [16, 20, 16]]);
    assert_eq!(triples(Exact, 20, 32, 8), [[0, 20, 0]]);
    let exact = [[0, 32, 0], [8, 40, 32], [16, 48, 40], [24, 56, 48], [32, 64, 56]];
    assert_eq!(triples(Exact, 64, 32, 8), exact);
    let tail = [[40, 64, 56], [48, 64, 56], [56, 64, 56]];
    assert_eq!(triples(Original, 64, 32, 8), [&exact[..], &tail[..]].concat());
    assert_eq!(triples(OriginalMin1, 64, 32, 8), triples(Original, 64, 32, 8));
    assert_eq!(triples(Exact, 75, 32, 8)[5..], [[40, 72, 64], [43, 75, 72]]);
    assert_eq!(triples(Original, 75, 32, 8)[5..], [[40, 72, 64], [48, 75, 67], [56, 75, 67], [64, 75, 67]]);
    assert_eq!(triples(OriginalMin1, 75, 32, 8)[9..], [[72, 75, 72]]);
    for rule in [Exact, Original, OriginalMin1] {
        assert_eq!(triples(rule, 96, 32, 32), [[0, 32, 0], [32, 64, 32], [64, 96, 64]]);
    }
}

#[test]
fn the_challenge_s_validation_set_is_counted_as_published() {
    const TARGETS: usize = 62_021_632;
    let plan =
        |stride, window| WindowPlan::new(WindowRule::Original, TARGETS, window, stride).expect("valid");
    assert_eq!(plan(32, 2048).count(), 1_938_176);
    assert_eq!(plan(64, 2048).count(), 969_088);
    assert_eq!(TARGETS.div_ceil(32_768), 1893);
    assert_eq!(TARGETS.div_ceil(131_072), 474);
    // Tokens in the published logs, the re-scored tail included.
    assert_eq!(scored(&plan(32, 2048)), 62_023_648);
    assert_eq!(scored(&plan(64, 2048)), 62_023_616);
    assert_eq!(scored(&plan(64, 1024)), 62_022_592);
    let exact = WindowPlan::new(WindowRule::Exact, TARGETS, 2048, 64).expect("valid");
    assert_eq!((exact.count(), scored(&exact)), (969_057, TARGETS));
}

#[test]
fn documents_are_scored_once_by_default_and_over_and_over_as_published() {
    let mut tokens = vec![5; 2001];
    tokens[0] = 1;
    tokens[1000] = 1;
    tokens[2000] = 1;
    let starts = document_starts(&tokens, 1);
    assert_eq!(starts, [0, 1000]);
    let plan = |rule| WindowPlan::with_documents(rule, 2000, 2048, 32, starts.clone()).expect("a valid plan");
    let exact: Vec<_> = plan(WindowRule::Exact).iter().collect();
    assert_eq!(exact.len(), 2);
    assert_eq!(exact[1], WindowSpan { start: 1000, end: 2000, first_scored: 1000 });
    // Each 1000-token document: its 1000 targets, then 30 windows that score the last 32 again.
    assert_eq!(scored(&plan(WindowRule::Original)), 2 * (1000 + 30 * 32));
}

#[test]
fn a_stream_without_marker_is_one_document() {
    assert_eq!(document_starts(&[7, 8, 1], 1), [0]);
    assert_eq!(document_starts(&[], 1), [0]);
}

#[test]
fn impossible_sizes_are_refused() {
    let plan =
        |targets, window, stride| WindowPlan::new(WindowRule::Exact, targets, window, stride).unwrap_err();
    assert_eq!(plan(0, 8, 4), WindowError::NoTargets);
    assert_eq!(plan(9, 0, 4), WindowError::NoWindow);
    assert_eq!(plan(9, 8, 9), WindowError::Stride { window: 8, stride: 9 });
    assert_eq!(plan(9, 8, 0), WindowError::Stride { window: 8, stride: 0 });
    let starts = |starts: &[usize]| {
        WindowPlan::with_documents(WindowRule::Exact, 9, 8, 4, starts.to_vec()).unwrap_err()
    };
    assert_eq!(starts(&[1]), WindowError::Documents { targets: 9, index: 0, got: 1 });
    assert_eq!(starts(&[0, 4, 4]), WindowError::Documents { targets: 9, index: 2, got: 4 });
    assert_eq!(starts(&[0, 9]), WindowError::Documents { targets: 9, index: 1, got: 9 });
}

prop_compose! {
    fn sizes()(targets in 1usize..400, window in 1usize..64)
        (targets in Just(targets), window in Just(window), stride in 1..=window, cuts in
            prop::collection::btree_set(1..targets.max(2), 0..5)) -> (usize, usize, usize, Vec<usize>) {
        let starts = std::iter::once(0).chain(cuts.into_iter().filter(|c| *c < targets)).collect();
        (targets, window, stride, starts)
    }
}

proptest! {
    #[test]
    fn exact_rules_partition_the_targets((targets, window, stride, starts) in sizes()) {
        for rule in [WindowRule::Exact, WindowRule::NonOverlapping] {
            let plan = WindowPlan::with_documents(rule, targets, window, stride, starts.clone()).unwrap();
            let mut next = 0;
            for span in plan.iter() {
                prop_assert_eq!(span.first_scored, next);
                prop_assert!(span.start <= span.first_scored && span.first_scored < span.end);
                prop_assert!(span.end - span.start <= window);
                next = span.end;
            }
            prop_assert_eq!(next, targets);
        }
    }

    #[test]
    fn exact_windows_have_the_full_context_where_the_document_has_it((targets, window, stride, starts) in sizes()) {
        let plan = WindowPlan::with_documents(WindowRule::Exact, targets, window, stride, starts.clone()).unwrap();
        for span in plan.iter() {
            let document = starts.iter().rev().find(|s| **s <= span.start).unwrap();
            prop_assert_eq!(span.end - span.start, window.min(span.end - document));
        }
    }

    #[test]
    fn counts_in_closed_form_are_the_counts((targets, window, stride, starts) in sizes()) {
        for rule in [WindowRule::Exact, WindowRule::NonOverlapping, WindowRule::Original, WindowRule::OriginalMin1] {
            let plan = WindowPlan::with_documents(rule, targets, window, stride, starts.clone()).unwrap();
            prop_assert_eq!(plan.count(), plan.iter().count() as u64);
            let firsts: Vec<_> = plan.iter().map(|w| w.first_scored).collect();
            prop_assert!(firsts.is_sorted());
        }
    }
}
