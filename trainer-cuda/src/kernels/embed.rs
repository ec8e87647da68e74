//! Launches of `embed`, of float and of packed tables.

use crate::kernel::{ELEMENTS, Kernel, Source};
use crate::lower::Binding::{Input, Output};
use crate::lower::Lowering;
use golf_core::quant::pack::row_words;

static SOURCE: Source = Source { file: "embed.cu", text: include_str!("embed.cu") };
static EMBED: Kernel = Kernel { source: &SOURCE, entry: "embed", signature: "rrouuu", threads: ELEMENTS };
static EMBED_PACKED: Kernel =
    Kernel { source: &SOURCE, entry: "embed_packed", signature: "rrouuuuu", threads: ELEMENTS };

pub(super) const KERNELS: &[&Kernel] = &[&EMBED, &EMBED_PACKED];

pub(super) fn embed(low: &mut Lowering<'_>) {
    let ([rows, d], n) = (low.matrix(1), low.output(0).numel());
    let bindings = vec![Input(0), Input(1), Output(0)];
    match low.input(1).dtype.quant_bits() {
        None => {
            let eights = d.div_ceil(8);
            low.launch_elements(&EMBED, bindings, n / d * eights, &[d.into(), eights.into()]);
        }
        Some(bits) => {
            let params = [d.into(), rows.into(), row_words(bits, d).into(), (bits as usize).into()];
            low.launch_elements(&EMBED_PACKED, bindings, n, &params);
        }
    }
}
