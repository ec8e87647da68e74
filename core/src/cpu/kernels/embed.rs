//! `embed`: row copies, dequantizing where the table is packed; its gradient by ranges of the table.

use crate::cpu::launch::Launch;
use crate::cpu::rows::ROWS;
use crate::cpu::simd::vector;
use crate::ops::EmbedGrad;
use crate::quant::pack::dequantize_row;

/// `(ids i32[n], table[v,d]) → [n,d]`.
pub(in crate::cpu) fn run(mut launch: Launch<'_>) {
    let (ids, table) = (launch.inputs[0].i32s(), launch.inputs[1]);
    let [rows, d] = table.matrix();
    let [y] = launch.results();
    launch.threads.each(y.chunks_mut(ROWS * d).collect(), |index, y| {
        for (y, &id) in y.chunks_exact_mut(d).zip(&ids[index * ROWS..]) {
            match table.packed() {
                Some((bits, words)) => dequantize_row(bits, words, rows, d, id as usize, y),
                None => y.copy_from_slice(&table.f32s()[id as usize * d..][..d]),
            }
        }
    });
}

/// Ranges that the table is cut into. Every one scans all ids, so there are few.
const RANGES: usize = 32;

/// `(ids, dy[n,d]) → dtable[v,d]`: every range of the table takes its rows of `dy` in order of occurrence.
pub(in crate::cpu) fn grad(op: &EmbedGrad, mut launch: Launch<'_>) {
    let (ids, dy) = (launch.inputs[0].i32s(), launch.inputs[1].f32s());
    let d = launch.inputs[1].matrix()[1];
    let range = op.rows.div_ceil(RANGES);
    let [table] = launch.results();
    launch.threads.each(table.chunks_mut(range * d).collect(), |index, table| {
        table.fill(0.0);
        let first = index * range;
        let ours = first..first + table.len() / d;
        for (row, &id) in dy.chunks_exact(d).zip(ids).filter(|(_, id)| ours.contains(&(**id as usize))) {
            let sum = &mut table[(id as usize - first) * d..][..d];
            vector(
                #[inline(always)]
                || sum.iter_mut().zip(row).for_each(|(sum, x)| *sum += x),
            );
        }
    });
}
