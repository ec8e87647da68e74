//! All launches of a plan in order, and where the memory of each binding is: known without a device.
//!
//! Operands that a library takes in bf16 are kept in a few buffers for the whole plan: neighbouring products often share
//! one (queries, keys and values read the same stream; both gradients of a layer read its output's), and it is rounded once.
//! What no step writes, such as a weight in a gradient's plan, has a buffer of its own, and all of it is rounded by one launch.
//!
//! Invariant: a rounded operand is used only while what it was rounded from has not been written since.

use crate::join::join;
use crate::kernel::Param;
use crate::kernels;
use crate::lower::{Binding, Launch, Lowering, Precision, Products, Table};
use crate::rows::{Row, table_words};
use golf_core::plan::{Activations, Plan, Step};
use std::collections::HashSet;

/// Where a binding's memory is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Place {
    Slot(usize),
    Scratch(usize),
    Partial(usize),
    Rounded(usize),
    Table(Table),
}

/// A launch, where its bindings' memory is, and the step of the plan that it belongs to.
#[derive(Debug)]
pub(crate) struct Placed {
    pub launch: Launch,
    /// Its rows, where its kernel has any.
    pub rows: Vec<Row<Place>>,
    pub places: Vec<Place>,
    pub step: usize,
    /// Other steps whose work it does too.
    pub joined: Vec<usize>,
}

impl Placed {
    fn new(launch: Launch, step: usize, place: impl Fn(&Binding) -> Place) -> Self {
        let all = |bindings: &[Binding]| bindings.iter().map(&place).collect();
        let rows = launch.rows.iter().map(|row| row.with_pointers(all(&row.pointers))).collect();
        let places = all(&launch.bindings);
        Placed { launch, rows, places, step, joined: Vec::new() }
    }

    /// What it reads and writes, and whether it writes it.
    pub fn touched(&self) -> impl Iterator<Item = (bool, &Place)> {
        let kernel = self.launch.kernel;
        let of_rows = self.rows.iter().flat_map(|row| kernel.row_pointers().bytes().zip(&row.pointers));
        let all = of_rows.chain(kernel.pointers().bytes().zip(&self.places));
        all.map(|(letter, place)| (b"woH".contains(&letter), place))
    }
}

/// How plans are compiled.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Options {
    /// Fill with NaN what no kernel may read.
    pub poison: bool,
    /// How products are formed.
    pub precision: Precision,
    /// Launch every tensor by itself.
    pub apart: bool,
    /// Use Hopper's products of warpgroups.
    pub wgmma: bool,
}

/// A plan's launches, and the buffers that its steps share.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    pub launches: Vec<Placed>,
    /// Words of every slot.
    pub slots: Vec<usize>,
    /// Words of every scratch buffer.
    pub scratch: Vec<usize>,
    /// Words of every scratch buffer that is one step's alone.
    pub partials: Vec<usize>,
    /// Words of every buffer of rounded operands.
    pub rounded: Vec<usize>,
}

/// What poisons a buffer: a quiet NaN, as a float and as two entries of bf16.
const POISON: u32 = 0x7fc0_7fc0;

impl Pending {
    /// Those of `plan`.
    pub fn of(plan: &Plan, options: Options, products: &Products) -> Self {
        let activations = match options.precision {
            Precision::F32 => Activations::none(plan),
            Precision::Bf16 => Activations::of(plan),
        };
        let mut pending = Pending { slots: activations.slot_words(plan), ..Pending::default() };
        let mut kept = Kept::default();
        let written: HashSet<usize> =
            plan.steps.iter().flat_map(|step| &step.outputs).map(|output| output.slot).collect();
        for (number, step) in plan.steps.iter().enumerate() {
            let (inputs, outputs) = (&activations.inputs[number], &activations.outputs[number]);
            let mut lowering = Lowering::new(step, options.precision)
                .with_wgmma(options.wgmma)
                .with_products(products)
                .with_halves(inputs, outputs);
            kernels::lower(&step.op, &mut lowering);
            let Lowering { launches, scratch, partials, rounded, .. } = lowering;
            largest_of_each(&mut pending.scratch, &scratch);
            let mut memory =
                Memory { step, partials: pending.partials.len(), rounded: vec![0; rounded.len()] };
            pending.partials.extend(&partials);
            if options.poison {
                pending.fill_fresh(number, step, &scratch, &partials);
            }
            for mut launch in launches.into_iter().filter(|launch| launch.blocks > 0) {
                if kernels::rounds(launch.kernel)
                    && let Some(&Binding::Rounded(i)) = launch.bindings.get(1)
                {
                    let source = memory.place(&launch.bindings[0]);
                    let lasting = matches!(source, Place::Slot(slot) if !written.contains(&slot));
                    let rows = kernels::round_rows(&launch).filter(|_| lasting);
                    let rounding = Rounding { source, params: launch.params.clone() };
                    let (index, fresh) = kept.hold(rounding, rounded[i], rows.is_some());
                    memory.rounded[i] = index;
                    if !fresh {
                        continue;
                    }
                    if options.poison {
                        pending.fill(number, Place::Rounded(index), rounded[i]);
                    }
                    launch = rows.unwrap_or(launch);
                }
                let placed = Placed::new(launch, number, |binding| memory.place(binding));
                kept.forget_written(&placed);
                pending.launches.push(placed);
            }
            if options.poison {
                for &slot in &step.frees {
                    kept.forget(&Place::Slot(slot));
                    let words = pending.slots[slot];
                    pending.fill(number, Place::Slot(slot), words);
                }
            }
        }
        pending.rounded = kept.buffers.into_iter().map(|buffer| buffer.words).collect();
        if !options.apart {
            pending.launches = join(pending.launches);
        }
        pending
    }

    /// Words of all tables of rows.
    pub fn table_words(&self) -> usize {
        self.launches.iter().map(|placed| table_words(&placed.rows)).sum()
    }

    /// Poisons what a step may not read before it writes it: results that are not in place, and scratch memory.
    fn fill_fresh(&mut self, number: usize, step: &Step, scratch: &[usize], partials: &[usize]) {
        let pairs = step.op.def().in_place();
        let fresh = step.outputs.iter().enumerate().filter(|(r, _)| pairs.iter().all(|(o, _)| o != r));
        for (_, operand) in fresh {
            let words = self.slots[operand.slot].min(operand.ty.words());
            self.fill(number, Place::Slot(operand.slot), words);
        }
        scratch.iter().enumerate().for_each(|(i, &words)| self.fill(number, Place::Scratch(i), words));
        let first = self.partials.len() - partials.len();
        let partials = partials.iter().enumerate();
        partials.for_each(|(i, &words)| self.fill(number, Place::Partial(first + i), words));
    }

    fn fill(&mut self, step: usize, target: Place, words: usize) {
        // Which binding it is does not matter: its place is given.
        let launch = kernels::fill(Binding::Output(0), words, POISON);
        if launch.blocks > 0 {
            self.launches.push(Placed::new(launch, step, |_| target.clone()));
        }
    }
}

/// Where a step's bindings are.
struct Memory<'a> {
    step: &'a Step,
    /// The plan's number of the step's first buffer of its own.
    partials: usize,
    /// Buffers of the step's rounded operands.
    rounded: Vec<usize>,
}

impl Memory<'_> {
    fn place(&self, binding: &Binding) -> Place {
        match binding {
            Binding::Input(i) => Place::Slot(self.step.inputs[*i].slot),
            Binding::Output(i) => Place::Slot(self.step.outputs[*i].slot),
            Binding::Scratch(i) => Place::Scratch(*i),
            Binding::Partial(i) => Place::Partial(self.partials + i),
            Binding::Rounded(i) => Place::Rounded(self.rounded[*i]),
            Binding::Table(table) => Place::Table(table.clone()),
        }
    }
}

/// Scratch buffers are shared by all steps, each as large as its largest user.
fn largest_of_each(shared: &mut Vec<usize>, step: &[usize]) {
    shared.resize(shared.len().max(step.len()), 0);
    shared.iter_mut().zip(step).for_each(|(shared, &words)| *shared = words.max(*shared));
}

/// What a rounded operand was made of.
#[derive(Clone, Debug, PartialEq)]
struct Rounding {
    source: Place,
    params: Vec<Param>,
}

/// A buffer for rounded operands.
#[derive(Debug, Default)]
struct Buffer {
    /// What it holds, while that is what its source holds.
    holds: Option<Rounding>,
    words: usize,
    /// When it was last asked for.
    used: usize,
    /// Whether nothing else is ever held there.
    lasting: bool,
}

/// Buffers for rounded operands that do not last: the two of a product, and two that later ones may share.
const BUFFERS: usize = 4;

/// The rounded operands at some point of a plan.
#[derive(Debug, Default)]
struct Kept {
    buffers: Vec<Buffer>,
    asked: usize,
}

impl Kept {
    /// The buffer of `rounding`, of `words` words, and whether it has to be made there: the one that holds it, else one of its
    /// own if it is to last, else the one that was not asked for the longest.
    fn hold(&mut self, rounding: Rounding, words: usize, lasting: bool) -> (usize, bool) {
        self.asked += 1;
        let found = self.buffers.iter().position(|buffer| buffer.holds.as_ref() == Some(&rounding));
        let index = found.unwrap_or_else(|| {
            let shared = (0..self.buffers.len()).filter(|&index| !self.buffers[index].lasting);
            let oldest = shared.clone().min_by_key(|&index| self.buffers[index].used);
            match oldest.filter(|_| !lasting && shared.count() == BUFFERS) {
                Some(oldest) => oldest,
                None => {
                    self.buffers.push(Buffer { lasting, ..Buffer::default() });
                    self.buffers.len() - 1
                }
            }
        });
        let buffer = &mut self.buffers[index];
        buffer.holds = Some(rounding);
        buffer.words = buffer.words.max(words);
        buffer.used = self.asked;
        (index, found.is_none())
    }

    fn forget_written(&mut self, placed: &Placed) {
        placed.touched().filter(|(written, _)| *written).for_each(|(_, place)| self.forget(place));
    }

    /// What was rounded from `place` is no longer what is there.
    fn forget(&mut self, place: &Place) {
        let of_place = |buffer: &&mut Buffer| buffer.holds.as_ref().is_some_and(|held| held.source == *place);
        self.buffers.iter_mut().filter(of_place).for_each(|buffer| buffer.holds = None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use golf_core::graph::Graph;
    use golf_core::model::gpt::Window;
    use golf_core::model::graphs::gradient_graph;
    use golf_core::model::parameters;
    use golf_core::ops::{Add, Linear};
    use golf_core::plan::PlanOptions;
    use golf_core::tensor::TensorType;

    const BF16: Options = Options { poison: false, precision: Precision::Bf16, apart: false, wgmma: false };

    /// Entries of the launches of a plan in which `x` meets three weights, and then another `x` does.
    fn entries(products: &Products) -> (Vec<&'static str>, Pending) {
        let mut graph = Graph::new();
        let x = graph.input("x", TensorType::f32(&[64, 32]));
        let weights = ["q", "k", "v"].map(|name| graph.input(name, TensorType::f32(&[32, 32])));
        let mut push = |op: Linear, operands: &[_]| graph.push(op, operands).expect("the operands fit")[0];
        let y = weights.map(|w| push(Linear::NT, &[x, w]));
        let grad = push(Linear::TN, &[y[2], x]);
        let sum = graph.push(Add, &[y[0], y[1]]).expect("the operands fit")[0];
        let last = graph.push(Linear::NT, &[sum, grad]).expect("the operands fit")[0];
        graph.output("last", last);
        let plan = Plan::new("test", &graph, PlanOptions::default());
        let pending = Pending::of(&plan, BF16, products);
        (pending.launches.iter().map(|placed| placed.launch.kernel.entry).collect(), pending)
    }

    #[test]
    fn an_operand_of_several_products_is_rounded_once() {
        let (entries, pending) = entries(&Products::Library { refused: Default::default() });
        let count = |entry| entries.iter().filter(|&&e| e == entry).count();
        assert_eq!(count("cublaslt_bf16"), 5);
        // x and three weights in one launch; the third result, the sum, the gradient.
        assert_eq!([count("round_bf16_rows"), count("round_bf16_f32")], [1, 3]);
        assert_eq!(pending.rounded.len(), 4 + 3);
        assert!(pending.rounded.iter().all(|&words| words <= 64 * 32 / 2), "{:?}", pending.rounded);
    }

    #[test]
    fn our_own_kernels_round_by_themselves() {
        let (entries, pending) = entries(&Products::Own);
        assert_eq!(entries.iter().filter(|e| e.starts_with("linear_bf16")).count(), 5);
        assert!(pending.rounded.is_empty());
    }

    /// Launches of a training step of `preset` by entry.
    fn training(preset: &str, products: &Products) -> Vec<&'static str> {
        let config = golf_core::model::presets::model(preset).expect("a preset");
        let window = Window { rows: 48, seq: 2048 };
        let all: Vec<String> = parameters(&config).into_iter().map(|p| p.name).collect();
        let graph = gradient_graph(&config, &Default::default(), window, &all).expect("it builds");
        let plan = Plan::new("gradient", &graph, PlanOptions::default());
        let pending = Pending::of(&plan, BF16, products);
        pending.launches.iter().map(|placed| placed.launch.kernel.entry).collect()
    }

    #[test]
    fn between_layers_activations_stay_in_bf16() {
        for preset in ["baseline", "pr549", "pr861"] {
            for products in [Products::Own, Products::Library { refused: Default::default() }] {
                let entries = training(preset, &products);
                let conversions =
                    entries.iter().filter(|e| matches!(**e, "widen_bf16" | "narrow_bf16" | "round_bf16"));
                assert_eq!(conversions.count(), 0, "{preset} {products:?}");
            }
        }
    }

    #[test]
    fn what_was_written_since_is_rounded_again() {
        let mut kept = Kept::default();
        let rounding =
            |slot| Rounding { source: Place::Slot(slot), params: vec![8usize.into(), 0usize.into()] };
        let mut hold = |slot, words| kept.hold(rounding(slot), words, false);
        assert_eq!(hold(3, 4), (0, true));
        assert_eq!(hold(3, 4), (0, false));
        kept.forget(&Place::Slot(3));
        let mut hold = |slot, words| kept.hold(rounding(slot), words, false);
        assert_eq!(hold(4, 9), (1, true));
        assert_eq!(hold(3, 4), (2, true));
        assert_eq!(kept.hold(rounding(8), 4, true), (3, true));
        // The oldest makes way, never the other operand of a product nor what lasts.
        assert_eq!([5, 6, 7].map(|slot| kept.hold(rounding(slot), 4, false).0), [4, 0, 1]);
        assert_eq!(kept.hold(rounding(8), 4, true), (3, false));
        assert_eq!(kept.buffers.iter().map(|buffer| buffer.words).collect::<Vec<_>>(), [4, 9, 4, 4, 4]);
    }

    #[test]
    fn buffers_of_steps_are_as_large_as_their_largest_user() {
        let mut shared = vec![3];
        largest_of_each(&mut shared, &[2, 5]);
        largest_of_each(&mut shared, &[4]);
        assert_eq!(shared, [4, 5]);
    }
}
