//! Launches of `attention` and its gradient on tensor cores: operands are rounded to bf16 once, into rows of whole
//! vectors, and read from there by every block.

use super::round_bf16::rounded;
use crate::kernel::{ELEMENTS, Kernel, Param, Source};
use crate::lower::Binding::{self, Input, Output};
use crate::lower::{Lowering, Precision};
use golf_core::ops::{Attention, AttentionGrad};

static FORWARD: Source = Source { file: "attention_bf16.cu", text: include_str!("attention_bf16.cu") };
static GRAD: Source = Source { file: "attention_grad_bf16.cu", text: include_str!("attention_grad_bf16.cu") };
static FORWARD_WGMMA: Source =
    Source { file: "attention_wgmma.cu", text: include_str!("attention_wgmma.cu") };
static GRAD_WGMMA: Source =
    Source { file: "attention_grad_wgmma.cu", text: include_str!("attention_grad_wgmma.cu") };

/// Widths of rows that there are kernels for, in channels.
const WIDTHS: [usize; 3] = [32, 64, 128];

/// Kernels for one part of the work, of one signature.
struct Task {
    /// One for each of [`WIDTHS`], by products of warps.
    of_warps: [Kernel; 3],
    /// For [`WARPGROUP_WIDTH`], by products of warpgroups.
    of_warpgroups: Kernel,
    /// Tokens that a block of that one takes.
    warpgroup_rows: usize,
}

impl Task {
    const fn new(
        sources: [&'static Source; 2],
        entries: [&'static str; 4],
        signature: &'static str,
        warpgroup_rows: usize,
    ) -> Self {
        let [of_warps, of_warpgroups] = sources;
        let [a, b, c, d] = entries;
        // A warpgroup has 64 tokens.
        let threads = 2 * warpgroup_rows;
        Self {
            of_warps: [
                Kernel { source: of_warps, entry: a, signature, threads: 128 },
                Kernel { source: of_warps, entry: b, signature, threads: 128 },
                Kernel { source: of_warps, entry: c, signature, threads: 128 },
            ],
            of_warpgroups: Kernel { source: of_warpgroups, entry: d, signature, threads },
            warpgroup_rows,
        }
    }
}

/// Width of rows that products of warpgroups take, in channels.
const WARPGROUP_WIDTH: usize = 64;

static ATTENTION: Task = Task::new(
    [&FORWARD, &FORWARD_WGMMA],
    ["attention_bf16_32", "attention_bf16_64", "attention_bf16_128", "attention_wgmma"],
    "hhhowuuuuuuf",
    128,
);
static QUERIES: Task = Task::new(
    [&GRAD, &GRAD_WGMMA],
    [
        "attention_grad_queries_bf16_32",
        "attention_grad_queries_bf16_64",
        "attention_grad_queries_bf16_128",
        "attention_grad_queries_wgmma",
    ],
    "hhhhrouuuuuuf",
    64,
);
static KEYS: Task = Task::new(
    [&GRAD, &GRAD_WGMMA],
    [
        "attention_grad_keys_bf16_32",
        "attention_grad_keys_bf16_64",
        "attention_grad_keys_bf16_128",
        "attention_grad_keys_wgmma",
    ],
    "hhhhroouuuuuuf",
    64,
);
static STATS: Kernel =
    Kernel { source: &GRAD, entry: "attention_stats", signature: "aarwuu", threads: ELEMENTS };

/// Heads of tokens that a block of it takes, half a warp each.
const STATS_ITEMS: usize = ELEMENTS / 16;

pub(super) fn kernels() -> Vec<&'static Kernel> {
    let tasks = [&ATTENTION, &QUERIES, &KEYS].into_iter();
    tasks.flat_map(|task| task.of_warps.iter().chain([&task.of_warpgroups])).chain([&STATS]).collect()
}

/// Heads over windows of tokens, in rows of one of [`WIDTHS`].
pub(super) struct TensorHeads {
    n: usize,
    seq: usize,
    heads: usize,
    kv_heads: usize,
    width: usize,
    /// Index of the rows' width.
    variant: usize,
    /// Whether warpgroups form the products.
    warpgroups: bool,
}

impl TensorHeads {
    /// Of a step whose first operand is the queries; `None` where f32 is asked for or heads are wider than any kernel's.
    pub fn new(low: &Lowering<'_>, heads: usize, kv_heads: usize, seq: usize) -> Option<Self> {
        let [n, cols] = low.matrix(0);
        let width = cols / heads;
        let variant = WIDTHS.iter().position(|&widest| width <= widest)?;
        let warpgroups = low.wgmma && WIDTHS[variant] == WARPGROUP_WIDTH;
        let heads = Self { n, seq, heads, kv_heads, width, variant, warpgroups };
        (low.precision == Precision::Bf16).then_some(heads)
    }

    /// The kernel, and the tokens that one block of it takes: wide rows fill its registers with half as many.
    fn kernel(&self, task: &'static Task) -> (&'static Kernel, usize) {
        match self.warpgroups {
            true => (&task.of_warpgroups, task.warpgroup_rows),
            false => (&task.of_warps[self.variant], if WIDTHS[self.variant] > 64 { 64 } else { 128 }),
        }
    }

    /// `x` of `owners` heads as bf16.
    fn operand(&self, low: &mut Lowering<'_>, x: Binding, owners: usize) -> Binding {
        rounded(low, x, self.n * owners, [self.width, WIDTHS[self.variant]])
    }

    /// Appends a launch over tiles of `owners` heads, [`Self::heads`] or [`Self::kv_heads`].
    fn launch(&self, low: &mut Lowering<'_>, task: &'static Task, bindings: Vec<Binding>, owners: usize) {
        let (kernel, rows) = self.kernel(task);
        let (tiles, strands) = (self.seq.div_ceil(rows), self.n / self.seq * owners);
        let sizes = [self.heads, self.heads / self.kv_heads, self.seq, self.width, tiles, strands];
        let scale = 1.0 / (self.width as f64).sqrt();
        let params = sizes.into_iter().map(Param::from).chain([scale.into()]).collect();
        low.launch(kernel, bindings, params, tiles * strands);
    }
}

pub(super) fn attention(op: &Attention, heads: &TensorHeads, low: &mut Lowering<'_>) {
    let q = heads.operand(low, Input(0), op.heads);
    let [k, v] = [1, 2].map(|i| heads.operand(low, Input(i), op.kv_heads));
    heads.launch(low, &ATTENTION, vec![q, k, v, Output(0), Output(1)], op.heads);
}

pub(super) fn attention_grad(op: &AttentionGrad, heads: &TensorHeads, low: &mut Lowering<'_>) {
    let [q, dy] = [0, 5].map(|i| heads.operand(low, Input(i), op.heads));
    let [k, v] = [1, 2].map(|i| heads.operand(low, Input(i), op.kv_heads));
    let items = heads.n * op.heads;
    let stats = low.scratch(2 * items);
    let params = vec![items.into(), heads.width.into()];
    low.launch(
        &STATS,
        vec![Input(5), Input(3), Input(4), stats.clone()],
        params,
        items.div_ceil(STATS_ITEMS),
    );
    let operands = [q, k, v, dy, stats];
    let bindings = [&operands[..], &[Output(0)]].concat();
    heads.launch(low, &QUERIES, bindings, op.heads);
    let bindings = [&operands[..], &[Output(1), Output(2)]].concat();
    heads.launch(low, &KEYS, bindings, op.kv_heads);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lower::Launch;
    use golf_core::graph::Graph;
    use golf_core::plan::{Plan, PlanOptions};
    use golf_core::tensor::TensorType;

    /// Launches of attention of 4 heads on 2 over windows of 300 tokens.
    fn launches(precision: Precision, width: usize, wgmma: bool) -> Vec<Launch> {
        let (n, seq) = (600, 300);
        let mut graph = Graph::new();
        let q = graph.input("q", TensorType::f32(&[n, 4 * width]));
        let [k, v] = ["k", "v"].map(|name| graph.input(name, TensorType::f32(&[n, 2 * width])));
        let op = Attention { heads: 4, kv_heads: 2, seq };
        let y = graph.push(op.clone(), &[q, k, v]).expect("the operands fit");
        graph.output("y", y[0]);
        let plan = Plan::new("test", &graph, PlanOptions::default());
        let mut low = Lowering::new(&plan.steps[0], precision).with_wgmma(wgmma);
        super::super::attention::attention(&op, &mut low);
        low.launches
    }

    #[test]
    fn every_width_takes_the_narrowest_rows_that_hold_it() {
        // Tiles of 128 or 64 queries, of 4 heads in 2 windows.
        let table = [
            (1, false, "attention_bf16_32", 3),
            (32, true, "attention_bf16_32", 3),
            (33, false, "attention_bf16_64", 3),
            (33, true, "attention_wgmma", 3),
            (64, false, "attention_bf16_64", 3),
            (64, true, "attention_wgmma", 3),
            (96, true, "attention_bf16_128", 5),
            (128, false, "attention_bf16_128", 5),
        ];
        for (width, wgmma, entry, tiles) in table {
            let launches = launches(Precision::Bf16, width, wgmma);
            let names: Vec<&str> = launches.iter().map(|launch| launch.kernel.entry).collect();
            assert_eq!(names, ["round_bf16", "round_bf16", "round_bf16", entry], "width {width}");
            assert_eq!(launches[3].blocks, tiles * 4 * 2, "width {width}");
        }
    }

    #[test]
    fn wide_heads_and_full_precision_stay_in_f32() {
        for (precision, width) in [(Precision::Bf16, 132), (Precision::F32, 64)] {
            assert_eq!(
                launches(precision, width, true)[0].kernel.entry,
                "attention",
                "{precision:?}, width {width}"
            );
        }
    }
}
