//! The oracle: a plan interpreted step by step in f64, each op by its definition. Never optimized.

mod noise;

use crate::backend::{Backend, BackendError, ExecutableId, Executables, LocalFuture, check_inputs};
use crate::ops::Op;
use crate::plan::{Activations, Plan, SlotKind};
use crate::tensor::{DType, Data, Tensor, TensorType};
use noise::{BF16, Noise, SINGLE};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// The f64 interpreter.
#[derive(Debug, Default)]
pub struct Reference {
    states: BTreeMap<String, Tensor>,
    plans: Executables<(Plan, BTreeMap<String, Tensor>)>,
    poison: bool,
    noise: Option<Noise>,
    bf16: bool,
}

/// A tensor as the oracle computes it: floats in f64, everything else as it is.
fn widen(tensor: &Tensor) -> Tensor {
    match tensor.data() {
        Data::F32(_) => Tensor::f64(tensor.shape(), tensor.to_f64()),
        _ => tensor.clone(),
    }
}

fn zeros(ty: &TensorType) -> Tensor {
    match ty.dtype {
        DType::F32 => Tensor::f64(&ty.shape, vec![0.0; ty.numel()]),
        _ => Tensor::zeros(ty),
    }
}

/// Whether a device that works in bf16 rounds the operands of `op` to it: those of products on tensor cores. A Newton–Schulz
/// iteration rounds whatever it stores.
fn is_product(op: &Op) -> bool {
    matches!(
        op,
        Op::Linear(_)
            | Op::LinearActivation(_)
            | Op::LinearAdd(_)
            | Op::LinearAddScaled(_)
            | Op::LinearResidual(_)
            | Op::Attention(_)
            | Op::AttentionGrad(_)
            | Op::HeadCrossEntropy(_)
            | Op::HeadCrossEntropyGrad(_)
    )
}

impl Reference {
    /// An empty oracle.
    pub fn new() -> Self {
        Self::default()
    }

    /// Fills slots with NaN once their value is dead, so that a planner's mistake shows.
    pub fn with_poison() -> Self {
        Self { poison: true, ..Self::default() }
    }

    /// Measures instead of computing: every number that an op reads is first off by one rounding of single precision, up or
    /// down at random. How far results move between seeds is what single precision can tell of them (Monte Carlo
    /// arithmetic, Parker 1997).
    pub fn with_noise(seed: u64) -> Self {
        Self { noise: Some(Noise::new(seed)), ..Self::default() }
    }

    /// Measures a device that works in bf16: besides, every activation is off by one rounding to it, and so is what a product
    /// reads, while the number itself stays, as master weights do; and so is everything that a Newton–Schulz iteration stores.
    pub fn with_bf16(self) -> Self {
        Self { bf16: true, ..self }
    }

    fn run(&mut self, index: ExecutableId, inputs: &[&Tensor]) -> BTreeMap<String, Tensor> {
        let plan = &self.plans[index].0;
        let stored = if self.bf16 { Activations::of(plan) } else { Activations::none(plan) };
        let mut slots: Vec<Option<Tensor>> = vec![None; plan.slots.len()];
        for (port, tensor) in plan.inputs.iter().zip(inputs) {
            slots[port.operand.slot] = Some(widen(tensor));
        }
        for port in &plan.states {
            slots[port.operand.slot] = Some(self.states[&port.name].clone());
        }
        for (number, step) in plan.steps.iter().enumerate() {
            if let Some(noise) = &mut self.noise {
                let mut read: Vec<usize> = step.inputs.iter().map(|operand| operand.slot).collect();
                read.sort_unstable();
                read.dedup();
                for slot in read {
                    noise.add(
                        SINGLE,
                        slots[slot].as_mut().expect("the planner places a value before its readers"),
                    );
                }
            }
            let pairs = step.op.def().in_place();
            let mut outputs: Vec<Tensor> = Vec::with_capacity(step.outputs.len());
            for (result, operand) in step.outputs.iter().enumerate() {
                outputs.push(match pairs.iter().find(|(r, _)| *r == result) {
                    Some(_) => slots[operand.slot].clone().expect("an in-place operand is alive"),
                    None => zeros(&operand.ty),
                });
            }
            let operand =
                |slot: usize| slots[slot].as_ref().expect("the planner places a value before its readers");
            let mut operands: Vec<Cow<'_, Tensor>> =
                step.inputs.iter().map(|o| Cow::Borrowed(operand(o.slot))).collect();
            if let Some(noise) = self.noise.as_mut().filter(|_| self.bf16 && is_product(&step.op)) {
                operands.iter_mut().for_each(|operand| noise.add(BF16, operand.to_mut()));
            }
            let operands: Vec<&Tensor> = operands.iter().map(AsRef::as_ref).collect();
            match (&mut self.noise, &step.op) {
                (Some(noise), Op::NewtonSchulz(op)) if self.bf16 => {
                    op.eval_stored(&operands, &mut outputs, &mut |values| noise.add_to(BF16, values));
                }
                (Some(_), op) => op.def().eval_rounded(&operands, &mut outputs),
                (None, op) => op.def().eval(&operands, &mut outputs),
            }
            for ((operand, mut tensor), half) in step.outputs.iter().zip(outputs).zip(&stored.outputs[number])
            {
                if let Some(noise) = self.noise.as_mut().filter(|_| *half) {
                    noise.add(BF16, &mut tensor);
                }
                slots[operand.slot] = Some(tensor);
            }
            if self.poison {
                for &slot in &step.frees {
                    let ty = slots[slot].as_ref().expect("a freed slot held a value").ty().clone();
                    slots[slot] =
                        (ty.dtype == DType::F32).then(|| Tensor::f64(&ty.shape, vec![f64::NAN; ty.numel()]));
                }
            }
        }
        let read = |slot: usize| slots[slot].clone().expect("ports are placed");
        for port in &plan.states {
            debug_assert!(matches!(plan.slots[port.operand.slot].kind, SlotKind::State(_)));
            self.states.insert(port.name.clone(), read(port.operand.slot));
        }
        plan.outputs.iter().map(|port| (port.name.clone(), read(port.operand.slot))).collect()
    }
}

impl Backend for Reference {
    fn name(&self) -> String {
        "reference".to_owned()
    }

    fn compile(&mut self, plan: Plan) -> LocalFuture<'_, Result<ExecutableId, BackendError>> {
        for port in &plan.states {
            let state = self.states.entry(port.name.clone()).or_insert_with(|| zeros(&port.operand.ty));
            if *state.ty() != port.operand.ty {
                let (name, expected, got) = (port.name.clone(), state.ty().clone(), port.operand.ty.clone());
                return Box::pin(std::future::ready(Err(BackendError::StateType { name, expected, got })));
            }
        }
        Box::pin(std::future::ready(Ok(self.plans.push((plan, BTreeMap::new())))))
    }

    fn release(&mut self, executable: ExecutableId) {
        self.plans.remove(executable);
    }

    fn write_state(&mut self, name: &str, tensor: &Tensor) -> Result<(), BackendError> {
        if let Some(state) = self.states.get(name).filter(|state| state.ty() != tensor.ty()) {
            let (expected, got) = (state.ty().clone(), tensor.ty().clone());
            return Err(BackendError::StateType { name: name.to_owned(), expected, got });
        }
        self.states.insert(name.to_owned(), widen(tensor));
        Ok(())
    }

    fn read_state<'a>(&'a mut self, name: &'a str) -> LocalFuture<'a, Result<Tensor, BackendError>> {
        let found = self.states.get(name).cloned();
        Box::pin(std::future::ready(
            found.ok_or_else(|| BackendError::UnknownState { name: name.to_owned() }),
        ))
    }

    fn submit(&mut self, executable: ExecutableId, inputs: &[(&str, &Tensor)]) -> Result<(), BackendError> {
        let inputs = check_inputs(&self.plans[executable].0, inputs)?;
        self.plans[executable].1 = self.run(executable, &inputs);
        Ok(())
    }

    fn read_output<'a>(
        &'a mut self,
        executable: ExecutableId,
        name: &'a str,
    ) -> LocalFuture<'a, Result<Tensor, BackendError>> {
        let (plan, outputs) = &self.plans[executable];
        let unknown = || BackendError::UnknownOutput { plan: plan.name.clone(), name: name.to_owned() };
        Box::pin(std::future::ready(outputs.get(name).cloned().ok_or_else(unknown)))
    }
}
