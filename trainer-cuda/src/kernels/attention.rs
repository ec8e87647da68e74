//! Launches of `attention`, and what its gradient shares with it: the layout of heads and their split into blocks.

use super::attention_bf16::{self, TensorHeads};
use crate::kernel::{ELEMENTS, Kernel, Param, Source};
use crate::lower::Binding::{self, Input, Output};
use crate::lower::Lowering;
use golf_core::ops::Attention;

static SOURCE: Source = Source { file: "attention.cu", text: include_str!("attention.cu") };
static ATTENTION: Kernel =
    Kernel { source: &SOURCE, entry: "attention", signature: "rrrwwuuuuuuuf", threads: 64 };
static REPITCH: Kernel = Kernel { source: &SOURCE, entry: "repitch", signature: "rwuuu", threads: ELEMENTS };

pub(super) const KERNELS: &[&Kernel] = &[&ATTENTION, &REPITCH];

/// Channels of a vector.
const VECTOR: usize = 4;
/// Queries and keys of a tile.
const TILE: usize = 32;
/// Channels of the result that one block forms.
const CHUNK: usize = 64;

/// Heads of both kinds over windows of tokens.
pub(super) struct Heads {
    /// Tokens.
    pub n: usize,
    /// Tokens of a window.
    pub seq: usize,
    /// Query heads.
    pub heads: usize,
    /// Key/value heads.
    pub kv_heads: usize,
    /// Channels of a head.
    pub width: usize,
}

impl Heads {
    /// Of a step whose first operand is the queries.
    pub fn new(low: &Lowering<'_>, heads: usize, kv_heads: usize, seq: usize) -> Self {
        let [n, cols] = low.matrix(0);
        Self { n, seq, heads, kv_heads, width: cols / heads }
    }

    /// Vectors of a head, the last perhaps continued with zeros.
    pub fn vectors(&self) -> usize {
        self.width.div_ceil(VECTOR)
    }

    fn chunks(&self) -> usize {
        self.width.div_ceil(CHUNK)
    }

    fn tiles(&self) -> usize {
        self.seq.div_ceil(TILE)
    }

    /// Parameters of a kernel over tiles of `owners` heads, [`Heads::heads`] or [`Heads::kv_heads`], and its blocks.
    pub fn launch(&self, owners: usize) -> (Vec<Param>, usize) {
        let strands = self.n / self.seq * owners * self.chunks();
        let sizes = [self.heads, self.heads / self.kv_heads, self.seq, self.vectors(), self.tiles()];
        let mut params: Vec<Param> = sizes.into_iter().map(Param::from).collect();
        let scale = 1.0 / (self.width as f64).sqrt();
        params.extend([Param::from(strands), Param::from(self.chunks()), Param::from(scale)]);
        (params, strands * self.tiles())
    }

    /// `x` of `owners` heads in whole vectors: itself, or a copy whose heads are continued with zeros, which add nothing
    /// to any product.
    pub fn widened(&self, low: &mut Lowering<'_>, x: Binding, owners: usize) -> Binding {
        if self.width.is_multiple_of(VECTOR) {
            return x;
        }
        let copy = self.result(low, x.clone(), owners);
        self.repitch(low, x, copy.clone(), owners, [self.width, VECTOR * self.vectors()]);
        copy
    }

    /// Where a kernel writes a result `y` of `owners` heads: into `y`, or into scratch memory that
    /// [`Heads::narrowed`] copies from.
    pub fn result(&self, low: &mut Lowering<'_>, y: Binding, owners: usize) -> Binding {
        if self.width.is_multiple_of(VECTOR) {
            return y;
        }
        low.scratch(self.n * owners * VECTOR * self.vectors())
    }

    /// Brings a result to `y` that was written to `from`, [`Heads::result`] of `y`.
    pub fn narrowed(&self, low: &mut Lowering<'_>, from: Binding, y: Binding, owners: usize) {
        if from != y {
            self.repitch(low, from, y, owners, [VECTOR * self.vectors(), self.width]);
        }
    }

    fn repitch(&self, low: &mut Lowering<'_>, x: Binding, y: Binding, owners: usize, [from, to]: [usize; 2]) {
        low.launch_elements(&REPITCH, vec![x, y], self.n * owners * to, &[from.into(), to.into()]);
    }
}

pub(super) fn attention(op: &Attention, low: &mut Lowering<'_>) {
    if let Some(heads) = TensorHeads::new(low, op.heads, op.kv_heads, op.seq) {
        return attention_bf16::attention(op, &heads, low);
    }
    let heads = Heads::new(low, op.heads, op.kv_heads, op.seq);
    let q = heads.widened(low, Input(0), op.heads);
    let [k, v] = [1, 2].map(|i| heads.widened(low, Input(i), op.kv_heads));
    let y = heads.result(low, Output(0), op.heads);
    let (params, blocks) = heads.launch(op.heads);
    low.launch(&ATTENTION, vec![q, k, v, y.clone(), Output(1)], params, blocks);
    heads.narrowed(low, y, Output(0), op.heads);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lower::{Launch, Precision};
    use golf_core::graph::Graph;
    use golf_core::plan::{Plan, PlanOptions};
    use golf_core::tensor::TensorType;

    fn launches(width: usize, n: usize, seq: usize) -> Vec<Launch> {
        let mut graph = Graph::new();
        let q = graph.input("q", TensorType::f32(&[n, 4 * width]));
        let [k, v] = ["k", "v"].map(|name| graph.input(name, TensorType::f32(&[n, 2 * width])));
        let op = Attention { heads: 4, kv_heads: 2, seq };
        let y = graph.push(op.clone(), &[q, k, v]).expect("the operands fit");
        graph.output("y", y[0]);
        let plan = Plan::new("test", &graph, PlanOptions::default());
        let mut low = Lowering::new(&plan.steps[0], Precision::default());
        attention(&op, &mut low);
        low.launches
    }

    #[test]
    fn heads_of_whole_vectors_are_read_where_they_lie() {
        let launches = launches(64, 300, 100);
        assert_eq!(launches.len(), 1);
        assert_eq!(launches[0].blocks, 3 * 4 * 4, "windows, heads, tiles of 32 queries");
    }

    #[test]
    fn odd_heads_are_copied_and_wide_heads_split() {
        let names = |width| launches(width, 8, 8).iter().map(|l| l.kernel.entry).collect::<Vec<_>>();
        assert_eq!(names(5), ["repitch", "repitch", "repitch", "attention", "repitch"]);
        let wide = launches(128, 8, 8);
        assert_eq!((wide.len(), wide[0].blocks), (1, 2 * 4));
    }
}
