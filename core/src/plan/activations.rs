//! Which values of a plan are activations: what flows from token to token and layer to layer, and back.
//!
//! A device may store these, and only these, in fewer bits: they are most of a training step's traffic, and rounding them is
//! what every mixed-precision recipe does. Weights, their gradients, statistics of rows, losses and whatever the host reads are
//! not among them.
//!
//! Invariant: results that lie in place of an operand are stored as that operand is.

use super::{Plan, SlotKind, Step};
use crate::ops::{LinearAdd, LinearForm, Op};
use crate::tensor::DType;
use std::collections::HashSet;

/// For every step, which operands and which results are activations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Activations {
    /// Operands by step.
    pub inputs: Vec<Vec<bool>>,
    /// Results by step.
    pub outputs: Vec<Vec<bool>>,
}

/// Where a result's storage comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    /// It begins here.
    Table,
    /// It is an activation if this operand is.
    Operand(usize),
}

/// The results of `op` that can be activations.
#[rustfmt::skip]
fn origins(op: &Op) -> &'static [(usize, Origin)] {
    use Origin::{Operand, Table};
    match op {
        Op::Embed(_) => &[(0, Table)],
        Op::Linear(linear) | Op::LinearAdd(LinearAdd { linear }) if linear.form == LinearForm::Tn => &[],
        Op::Add(_) | Op::AddScaled(_) | Op::Attention(_) | Op::ChannelAffine(_) | Op::Copy(_) | Op::GatedSkip(_)
        | Op::LeakyReluSquared(_) | Op::Linear(_) | Op::LinearActivation(_) | Op::LinearAddScaled(_)
        | Op::LinearResidual(_) | Op::QkNormRope(_)
        | Op::ResidualMix(_) | Op::RmsNorm(_) | Op::ScaleBy(_) | Op::SmearGate(_) | Op::Xsa(_)
        | Op::ChannelAffineGrad(_) | Op::HeadCrossEntropyGrad(_) | Op::LeakyReluSquaredGrad(_) | Op::QkNormRopeGrad(_)
        | Op::RmsNormGrad(_) | Op::ScaleByGrad(_) | Op::SmearGateGrad(_) => &[(0, Operand(0))],
        Op::ResidualMixNorm(_) => &[(0, Operand(0)), (1, Operand(0))],
        Op::ResidualMixNormGrad(_) => &[(0, Operand(4)), (1, Operand(1))],
        Op::ResidualMixNormGradAdd(_) => &[(0, Operand(4)), (1, Operand(5))],
        Op::GatedSkipGrad(_) | Op::ResidualMixGrad(_) | Op::XsaGrad(_) => &[(0, Operand(0)), (1, Operand(1))],
        Op::AddScaledGrad(_) => &[(1, Operand(1))],
        Op::LinearAdd(_) | Op::RmsNormGradAdd(_) => &[(0, Operand(2))],
        Op::AttentionGrad(_) => &[(0, Operand(0)), (1, Operand(1)), (2, Operand(2))],
        _ => &[],
    }
}

/// The values of a plan in the order in which they come to be; a result in place is the operand's value.
struct Values {
    /// By step: values of operands and of results.
    steps: Vec<(Vec<usize>, Vec<usize>)>,
    count: usize,
    /// Values that the host gives or reads, and states.
    outside: HashSet<usize>,
}

impl Values {
    fn of(plan: &Plan) -> Self {
        let mut values = Values { steps: Vec::new(), count: plan.slots.len(), outside: HashSet::new() };
        // Every slot holds a value before the first step: an input, a state, or nothing.
        let mut held: Vec<usize> = (0..plan.slots.len()).collect();
        values.outside.extend(&held);
        for step in &plan.steps {
            let inputs: Vec<usize> = step.inputs.iter().map(|operand| held[operand.slot]).collect();
            let outputs = step.outputs.iter().enumerate().map(|(result, operand)| {
                if in_place(step, result).is_none() {
                    held[operand.slot] = values.count;
                    values.count += 1;
                }
                if !matches!(plan.slots[operand.slot].kind, SlotKind::Scratch) {
                    values.outside.insert(held[operand.slot]);
                }
                held[operand.slot]
            });
            let outputs = outputs.collect();
            values.steps.push((inputs, outputs));
        }
        values.outside.extend(plan.outputs.iter().map(|port| held[port.operand.slot]));
        values
    }
}

/// The operand that result `result` of `step` overwrites.
fn in_place(step: &Step, result: usize) -> Option<usize> {
    let pairs = step.op.def().in_place().iter();
    let own = |(output, input): &&(usize, usize)| {
        *output == result && step.inputs.get(*input).is_some_and(|i| i.slot == step.outputs[result].slot)
    };
    pairs.filter(|(output, _)| *output < step.outputs.len()).find(own).map(|(_, input)| *input)
}

impl Activations {
    /// None: everything is stored in full.
    pub fn none(plan: &Plan) -> Self {
        let no = |operands: usize| vec![false; operands];
        Self {
            inputs: plan.steps.iter().map(|step| no(step.inputs.len())).collect(),
            outputs: plan.steps.iter().map(|step| no(step.outputs.len())).collect(),
        }
    }

    /// Those of `plan`.
    pub fn of(plan: &Plan) -> Self {
        let values = Values::of(plan);
        let mut is = vec![false; values.count];
        for (step, (inputs, outputs)) in plan.steps.iter().zip(&values.steps) {
            for &(result, origin) in origins(&step.op) {
                let value = outputs[result];
                let flows = match origin {
                    Origin::Table => true,
                    Origin::Operand(i) => is[inputs[i]],
                };
                let fits = step.outputs[result].ty.dtype == DType::F32 && !values.outside.contains(&value);
                // A value that is overwritten in place was decided where it came to be.
                if in_place(step, result).is_none() {
                    is[value] = flows && fits;
                }
            }
        }
        let of = |ids: &Vec<usize>| ids.iter().map(|&value| is[value]).collect();
        Self {
            inputs: values.steps.iter().map(|(inputs, _)| of(inputs)).collect(),
            outputs: values.steps.iter().map(|(_, outputs)| of(outputs)).collect(),
        }
    }

    /// Words of every slot of `plan` where two activations share a word.
    pub fn slot_words(&self, plan: &Plan) -> Vec<usize> {
        let mut words: Vec<usize> = (plan.slots.iter())
            .map(|slot| if matches!(slot.kind, SlotKind::Scratch) { 0 } else { slot.words })
            .collect();
        for (step, outputs) in plan.steps.iter().zip(&self.outputs) {
            for (operand, &activation) in step.outputs.iter().zip(outputs) {
                let own = if activation { operand.ty.numel().div_ceil(2) } else { operand.ty.words() };
                words[operand.slot] = words[operand.slot].max(own);
            }
        }
        words
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::gpt::Window;
    use crate::model::graphs::{gradient_graph, score_graph};
    use crate::model::{parameters, presets};
    use crate::plan::PlanOptions;

    fn plans(preset: &str) -> Vec<Plan> {
        let config = presets::model(preset).expect("a preset");
        let window = Window { rows: 1, seq: 16 };
        let all: Vec<String> = parameters(&config).into_iter().map(|p| p.name).collect();
        let score = score_graph(&config, &Default::default(), window).expect("it builds");
        let gradient = gradient_graph(&config, &Default::default(), window, &all).expect("it builds");
        [("score", score), ("gradient", gradient)]
            .map(|(name, graph)| Plan::new(name, &graph, PlanOptions::default()))
            .to_vec()
    }

    #[test]
    fn products_read_activations_and_gradients_of_weights_are_none() {
        for preset in ["baseline", "pr549", "pr861", "pr951"] {
            for plan in plans(preset) {
                let activations = Activations::of(&plan);
                for (i, step) in plan.steps.iter().enumerate() {
                    let (inputs, outputs) = (&activations.inputs[i], &activations.outputs[i]);
                    match &step.op {
                        Op::Linear(linear) if linear.form == LinearForm::Tn => {
                            assert_eq!(
                                (&inputs[..], &outputs[..]),
                                (&[true, true][..], &[false][..]),
                                "{preset}"
                            );
                        }
                        Op::Linear(_) => assert_eq!((inputs[0], inputs[1], outputs[0]), (true, false, true)),
                        Op::Attention(_) => assert_eq!(outputs[..], [true, false]),
                        Op::HeadCrossEntropy(_) => assert!(inputs[0] && outputs.iter().all(|out| !out)),
                        _ => {}
                    }
                }
            }
        }
    }

    #[test]
    fn a_step_of_training_needs_little_more_than_half_the_memory() {
        let plan = &plans("pr549")[1];
        let words = Activations::of(plan).slot_words(plan);
        let scratch = |words: &[usize]| -> usize {
            let scratch =
                words.iter().zip(&plan.slots).filter(|(_, slot)| matches!(slot.kind, SlotKind::Scratch));
            scratch.map(|(words, _)| words).sum()
        };
        let full: Vec<usize> = plan.slots.iter().map(|slot| slot.words).collect();
        assert_eq!(Activations::none(plan).slot_words(plan), full);
        assert!(scratch(&words) < scratch(&full), "{} {}", scratch(&words), scratch(&full));
    }
}
