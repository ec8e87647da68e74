//! Launches of `embed`, of float and of packed tables, and of its gradient.

use super::parts::PACKED;
use crate::kernel::Kernel;
use crate::lower::Binding::{Input, Output};
use crate::lower::Lowering;
use golf_core::ops::EmbedGrad;
use golf_core::quant::pack::row_words;

static EMBED: Kernel =
    Kernel { name: "embed", source: &[include_str!("embed.wgsl")], entry: "embed", access: "rrw" };
static EMBED_PACKED: Kernel = Kernel {
    name: "embed_packed",
    source: &[PACKED, include_str!("embed_packed.wgsl")],
    entry: "embed_packed",
    access: "rrw",
};
static EMBED_GRAD_SORT: Kernel = Kernel {
    name: "embed_grad_sort",
    source: &[include_str!("embed_grad_sort.wgsl")],
    entry: "embed_grad_sort",
    access: "rww",
};
static EMBED_GRAD: Kernel = Kernel {
    name: "embed_grad",
    source: &[include_str!("embed_grad.wgsl")],
    entry: "embed_grad",
    access: "rrrw",
};

pub(super) const KERNELS: &[&Kernel] = &[&EMBED, &EMBED_PACKED, &EMBED_GRAD_SORT, &EMBED_GRAD];

/// Tokens that a workgroup of `embed_grad_sort` ranks.
const RANKED: usize = 64;

/// Columns that a workgroup of `embed_grad` sums.
const COLUMNS: usize = 128;

pub(super) fn embed(low: &mut Lowering<'_>) {
    let ([rows, d], n) = (low.matrix(1), low.output(0).numel());
    let bindings = vec![Input(0), Input(1), Output(0)];
    match low.input(1).dtype.quant_bits() {
        None => low.launch_elements(&EMBED, bindings, n, &[d.into()]),
        Some(bits) => {
            let params = [d.into(), rows.into(), row_words(bits, d).into(), (bits as usize).into()];
            low.launch_elements(&EMBED_PACKED, bindings, n, &params);
        }
    }
}

pub(super) fn grad(op: &EmbedGrad, low: &mut Lowering<'_>) {
    let [n, d] = low.matrix(1);
    let (order, sorted) = (low.scratch(n), low.scratch(n));
    // Every token is compared with every other: four operations a pair.
    let flops = 4 * (n as u64).pow(2);
    let bindings = vec![Input(0), order.clone(), sorted.clone()];
    low.launch_counted(&EMBED_GRAD_SORT, bindings, vec![n.into()], n.div_ceil(RANKED), flops);
    let groups = op.rows * d.div_ceil(COLUMNS);
    low.launch(&EMBED_GRAD, vec![order, sorted, Input(1), Output(0)], vec![n.into(), d.into()], groups);
}

#[cfg(test)]
mod tests {
    use super::super::on_gpu;
    use super::*;
    use golf_core::ops::Embed;
    use golf_core::quant::pack::{dequantize, pack};
    use golf_core::tensor::{DType, Data, Tensor, TensorType};
    use half::f16;

    #[test]
    fn gradients_are_summed_in_order_of_occurrence() {
        let Some(mut gpu) = on_gpu::open("gradients_are_summed_in_order_of_occurrence") else { return };
        let (n, rows, d) = (3001, 700, 131);
        // Frequent ids and ids that never occur.
        let ids: Vec<i32> = (0..n).map(|i| ((i * 7919) % 1009 * (i % 5) / 8) as i32).collect();
        let dy: Vec<f32> = (0..n * d).map(|i| ((i * 40_503) % 10_007) as f32 * 1e-3 - 5.0).collect();
        let mut want = vec![0.0f32; rows * d];
        for (row, &id) in dy.chunks(d).zip(&ids) {
            want[id as usize * d..][..d].iter_mut().zip(row).for_each(|(sum, x)| *sum += x);
        }
        let (ids, dy) = (Tensor::i32(&[n], ids), Tensor::f32(&[n, d], dy));
        assert_eq!(on_gpu::run(&mut gpu, EmbedGrad { rows }, &[&ids, &dy]).to_f32(), want);
    }

    #[test]
    fn packed_rows_are_exact_with_any_scale() {
        let Some(mut gpu) = on_gpu::open("packed_rows_are_exact_with_any_scale") else { return };
        let scales: Vec<f16> =
            [0, 1, 0x3ff, 0x400, 0x3c00, 0x7bff, 0x8001, 0xbc00].map(f16::from_bits).into();
        let (rows, d, bits) = (scales.len(), 77, 5);
        let q: Vec<i8> = (0..rows * d).map(|i| (i * 13 % 32) as i8 - 16).collect();
        let words = pack(bits, rows, d, &q, &scales);
        let want = dequantize(bits, &words, rows, d);
        let dtype = DType::from_quant_bits(bits).expect("a width that operands have");
        let table = Tensor::new(TensorType { dtype, shape: vec![rows, d] }, Data::Packed(words));
        let ids = Tensor::i32(&[rows], (0..rows as i32).collect());
        assert_eq!(on_gpu::run(&mut gpu, Embed, &[&ids, &table]).to_f32(), want);
    }
}
