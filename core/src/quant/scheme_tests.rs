//! Properties of every scheme on small matrices; exact integers are tested against an independent
//! implementation.

use half::f16;

use super::*;

const ALL: [Scheme; 11] = [
    Scheme::Q8,
    Scheme::RowMax { c: 15 },
    Scheme::Percentile { c: 7 },
    Scheme::PercentileFloor { c: 31 },
    Scheme::Ratio { c: 7 },
    Scheme::Ratio { c: 127 },
    Scheme::Nibble,
    Scheme::S585,
    Scheme::S861,
    Scheme::Sigma { c: 31, tenths: 128 },
    Scheme::Uniform { percent: 48 },
];

/// Rows of ordinary weights, zeros, 1e-9, one outlier, and weights that overflow an fp16 step.
fn rows() -> (usize, Vec<f32>) {
    let cols = 67;
    let wave = |i: usize| ((i * 37 % 67) as f32 / 33.0 - 1.0) * 1.7;
    let mut values: Vec<f32> = (0..cols).map(wave).collect();
    values.extend(vec![0.0; cols]);
    values.extend((0..cols).map(|i| wave(i) * 1e-9));
    values.extend((0..cols).map(|i| if i == 5 { 40.0 } else { wave(i) }));
    values.extend((0..cols).map(|i| wave(i) * 1e12));
    (cols, values)
}

#[test]
fn steps_are_finite_and_positive_whatever_the_row() {
    let (cols, values) = rows();
    for scheme in ALL {
        let matrix = scheme.quantize(&[5, cols], &values);
        let Scales::PerRow(steps) = &matrix.scales else {
            panic!("{scheme:?}: a matrix has one step per row")
        };
        assert_eq!((matrix.q.len(), steps.len()), (values.len(), 5));
        assert!(steps.iter().all(|s| s.is_finite() && *s > f16::ZERO), "{scheme:?}: {steps:?}");
        assert!(matrix.q[cols..2 * cols].iter().all(|&q| q == 0), "{scheme:?}: zeros stay zero");
    }
}

#[test]
fn integers_stay_inside_the_bits_of_their_scheme() {
    let (cols, values) = rows();
    for scheme in ALL {
        let (low, high) = (-(1 << (scheme.bits() - 1)), (1 << (scheme.bits() - 1)) - 1);
        let matrix = scheme.quantize(&[5, cols], &values);
        assert!(matrix.q.iter().all(|&q| (low..=high).contains(&i32::from(q))), "{scheme:?}");
    }
}

#[test]
fn weights_inside_the_clip_are_off_by_half_a_step_at_most() {
    let (cols, values) = rows();
    for scheme in ALL {
        let matrix = scheme.quantize(&[4, cols], &values[..4 * cols]);
        let restored = matrix.dequantize();
        for (i, (w, v)) in values.iter().zip(&restored).enumerate() {
            let step = matrix.scales.step(i / cols);
            // Steps rounded to fp16 only when stored shift a value by another 2^-11 of itself.
            let allowed = 0.5 * step + w.abs() * 4.9e-4 + 1e-7;
            if w.abs() <= step * scheme.c() as f32 * 0.79 {
                assert!((w - v).abs() <= allowed, "{scheme:?} row {}: {w} became {v}, step {step}", i / cols);
            }
        }
    }
}

#[test]
fn halves_are_rounded_to_even() {
    // The row maximum 15 with c = 15 gives the step 1.
    let row = [15.0, 0.5, 1.5, 2.5, -0.5, -1.5, -2.5];
    assert_eq!(Scheme::RowMax { c: 15 }.quantize(&[1, 7], &row).q, [15, 0, 2, 2, 0, -2, -2]);
}

#[test]
fn a_per_row_choice_is_never_worse_than_the_row_maximum() {
    let (cols, values) = rows();
    let error = |scheme: Scheme| {
        let restored = scheme.quantize(&[4, cols], &values[..4 * cols]).dequantize();
        let square = |(w, v): (&f32, &f32)| f64::from(w - v).powi(2);
        values
            .chunks(cols)
            .zip(restored.chunks(cols))
            .map(|(w, v)| w.iter().zip(v).map(square).sum::<f64>())
            .collect()
    };
    let (searched, plain): (Vec<f64>, Vec<f64>) =
        (error(Scheme::Ratio { c: 7 }), error(Scheme::RowMax { c: 7 }));
    assert!(searched.iter().zip(&plain).all(|(s, p)| s <= p), "{searched:?} {plain:?}");
    assert!(searched.iter().sum::<f64>() < plain.iter().sum::<f64>());
}

#[test]
fn empty_and_single_column_matrices_and_vectors_are_quantized() {
    for scheme in ALL {
        assert_eq!(scheme.quantize(&[0, 4], &[]).q, Vec::<i8>::new());
        assert_eq!(scheme.quantize(&[3, 0], &[]).scales, scheme.quantize(&[3, 1], &[0.0; 3]).scales);
        assert_eq!(scheme.quantize(&[0], &[]).q, Vec::<i8>::new());
        let column = scheme.quantize(&[3, 1], &[2.0, 0.0, -2.0]);
        assert_eq!(column.q[1], 0, "{scheme:?}");
        assert_eq!(column.q[0], -column.q[2], "{scheme:?}");
        let vector = scheme.quantize(&[2, 1, 2], &[1.0, -0.5, 0.0, 0.25]);
        assert_eq!((vector.rows, vector.cols), (1, 4));
        let restored = vector.dequantize();
        assert!((restored[0] - 1.0).abs() < 1e-3 && restored[2] == 0.0, "{scheme:?}: {restored:?}");
        let zeros = scheme.quantize(&[2], &[0.0; 2]);
        assert_eq!(zeros.dequantize(), [0.0; 2], "{scheme:?}");
        assert!(zeros.scales.step(0) > 0.0 && zeros.scales.step(0).is_finite(), "{scheme:?}");
    }
}

#[test]
fn storage_bits_hold_the_asymmetric_range() {
    for (c, bits) in [(1, 4), (7, 4), (8, 5), (15, 5), (31, 6), (32, 8), (63, 8), (127, 8)] {
        assert_eq!(storage_bits(c), bits, "c = {c}");
        assert!(-(c as i32 + 1) >= -(1 << (bits - 1)));
    }
}

#[test]
fn sigma_steps_are_multiples_of_the_deviation_and_ignore_an_outlier() {
    let (cols, values) = rows();
    let scheme = Scheme::Sigma { c: 31, tenths: 120 };
    let steps = scheme.steps(4, cols, &values[..4 * cols]);
    let expected = super::super::gptq::sigma_steps(&values[..cols], cols, 12.0, 31)[0].to_f32();
    assert_eq!(steps[0], expected);
    // One value of 40 among values below 2 moves the maximum by 20 times, the deviation by 5.
    assert!(steps[3] < 6.0 * steps[0], "{steps:?}");
}

#[test]
fn computing_steps_round_to_the_stored_ones() {
    let (cols, values) = rows();
    for scheme in ALL {
        let stored = scheme.quantize(&[4, cols], &values[..4 * cols]).scales;
        for (r, step) in scheme.steps(4, cols, &values[..4 * cols]).into_iter().enumerate() {
            assert_eq!(half_step(step).to_f32(), stored.step(r), "{scheme:?} row {r}");
        }
    }
}

#[test]
fn a_uniform_step_is_the_same_for_all_rows_and_clips_none_of_them() {
    let cols = 67;
    let wave = |i: usize| (i * 37 % 67) as f32 / 33.0 - 1.0;
    // The last row is twelve times as large as the first.
    let values: Vec<f32> = (0..4 * cols).map(|i| wave(i % cols) * [0.1, 0.4, 0.8, 1.2][i / cols]).collect();
    let scheme = Scheme::Uniform { percent: 50 };
    let steps = scheme.steps(4, cols, &values);
    assert_eq!(steps, vec![half_step(0.5 * deviation(&values)).to_f32(); 4]);
    let quantized = scheme.quantize(&[4, cols], &values);
    let worst = values.iter().zip(quantized.dequantize()).map(|(w, v)| (w - v).abs()).fold(0.0, f32::max);
    assert!(worst <= 0.5 * steps[0] * 1.001, "{worst} {}", steps[0]);
    let magnitude =
        |row: usize| quantized.q[row * cols..(row + 1) * cols].iter().map(|q| q.unsigned_abs()).max();
    assert!(magnitude(0) < magnitude(1) && magnitude(2) < magnitude(3));
}
