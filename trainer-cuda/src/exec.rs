//! A plan on a device: its buffers, and its launches with their functions and arguments, all made once.
//!
//! Nothing is allocated during a run.

use crate::driver::Driver;
use crate::footprint::largest_of_each;
use crate::kernel::{Kernel, Param};
use crate::kernels;
use crate::lower::{Binding, Launch, Lowering, Precision};
use crate::tables::Tables;
use golf_core::backend::BackendError;
use golf_core::plan::{Plan, SlotKind, Step};
use golf_core::tensor::{Data, Tensor, TensorType};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// A named buffer that outlives runs.
pub(crate) struct State<B> {
    pub ty: TensorType,
    pub buffer: B,
}

/// All of a device's, by name.
pub(crate) type States<B> = BTreeMap<String, State<B>>;

/// A launch with everything that it needs.
struct Ready<D: Driver> {
    function: D::Function,
    kernel: &'static Kernel,
    blocks: usize,
    buffers: Vec<D::Buffer>,
    params: Vec<Param>,
}

/// A compiled plan.
pub(crate) struct Executable<D: Driver> {
    pub plan: Plan,
    slots: Vec<D::Buffer>,
    launches: Vec<Ready<D>>,
    /// Copies of results that lie in a state's slot: other plans may change it before they are read.
    saved: Vec<Option<D::Buffer>>,
    /// Bytes that this plan allocated itself: inputs, values, scratch, copies.
    pub bytes: u64,
}

/// How plans are compiled.
#[derive(Clone, Copy, Default)]
pub(crate) struct Options {
    /// Fill with NaN what no kernel may read.
    pub poison: bool,
    /// How products are formed.
    pub precision: Precision,
}

/// What poisons a buffer: a quiet NaN.
const POISON: u32 = 0x7fc0_0000;

impl<D: Driver> Executable<D> {
    /// Allocates and compiles everything that `plan` needs. States must exist.
    pub fn new(
        driver: &mut D,
        plan: Plan,
        states: &States<D::Buffer>,
        tables: &mut Tables<D::Buffer>,
        options: Options,
    ) -> Result<Self, BackendError> {
        let mut memory = Memory { driver, bytes: 0 };
        let mut slots = Vec::with_capacity(plan.slots.len());
        for (index, slot) in plan.slots.iter().enumerate() {
            slots.push(match &slot.kind {
                SlotKind::State(name) => states[name].buffer.clone(),
                SlotKind::Input(_) | SlotKind::Scratch => {
                    memory.allocate(slot.words, &format!("slot {index} of plan `{}`", plan.name))?
                }
            });
        }
        let mut saved = Vec::with_capacity(plan.outputs.len());
        for port in &plan.outputs {
            let in_state = matches!(plan.slots[port.operand.slot].kind, SlotKind::State(_));
            let mut copy = || memory.allocate(port.operand.ty.words(), &format!("output `{}`", port.name));
            saved.push(if in_state { Some(copy()?) } else { None });
        }
        let pending = pending_launches(&plan, options);
        let mut scratch = Vec::new();
        for &words in &pending.scratch {
            scratch.push(memory.allocate(words, "scratch memory of kernels")?);
        }
        let bytes = memory.bytes;
        let mut launches = Vec::with_capacity(pending.launches.len());
        for (launch, places) in pending.launches {
            let mut buffers = Vec::with_capacity(places.len());
            for place in places {
                buffers.push(match place {
                    Place::Slot(slot) => slots[slot].clone(),
                    Place::Scratch(index) => scratch[index].clone(),
                    Place::Table(table) => tables.get(driver, &table)?,
                });
            }
            let Launch { kernel, params, blocks, .. } = launch;
            launches.push(Ready { function: driver.function(kernel)?, kernel, blocks, buffers, params });
        }
        Ok(Executable { plan, slots, launches, saved, bytes })
    }

    /// Writes the inputs into their slots.
    pub fn load(&self, driver: &mut D, inputs: &[&Tensor]) -> Result<(), BackendError> {
        let slots = self.plan.inputs.iter().map(|port| &self.slots[port.operand.slot]);
        slots.zip(inputs).try_for_each(|(slot, tensor)| driver.upload(&words_of(tensor), slot))
    }

    /// Launches everything.
    pub fn run(&self, driver: &mut D) -> Result<(), BackendError> {
        for ready in &self.launches {
            driver.launch(&ready.function, ready.kernel, ready.blocks, &ready.buffers, &ready.params)?;
        }
        for (port, saved) in self.plan.outputs.iter().zip(&self.saved) {
            if let Some(saved) = saved {
                driver.copy(&self.slots[port.operand.slot], saved, port.operand.ty.words())?;
            }
        }
        Ok(())
    }

    /// Buffer and type of the result `name`.
    pub fn output(&self, name: &str) -> Option<(&D::Buffer, &TensorType)> {
        let index = self.plan.outputs.iter().position(|port| port.name == name)?;
        let operand = &self.plan.outputs[index].operand;
        Some((self.saved[index].as_ref().unwrap_or(&self.slots[operand.slot]), &operand.ty))
    }
}

/// Allocates and counts.
struct Memory<'a, D> {
    driver: &'a mut D,
    bytes: u64,
}

impl<D: Driver> Memory<'_, D> {
    fn allocate(&mut self, words: usize, what: &str) -> Result<D::Buffer, BackendError> {
        self.bytes += 4 * words as u64;
        allocate(self.driver, words, what)
    }
}

/// A buffer of `words`, zeroed; refused where a kernel could not index it.
pub(crate) fn allocate<D: Driver>(
    driver: &mut D,
    words: usize,
    what: &str,
) -> Result<D::Buffer, BackendError> {
    let (needed, available) = (4 * words as u64, 4 * u64::from(u32::MAX));
    if needed > available {
        let (backend, what) = (driver.name(), what.to_owned());
        return Err(BackendError::TooLarge { backend, what, limit: "32-bit index", needed, available });
    }
    driver.allocate(words.max(1), what)
}

/// Where a binding's memory is.
enum Place {
    Slot(usize),
    Scratch(usize),
    Table(crate::lower::Table),
}

/// All launches of a plan in order, and the scratch buffers that they share.
struct Pending {
    launches: Vec<(Launch, Vec<Place>)>,
    scratch: Vec<usize>,
}

fn pending_launches(plan: &Plan, options: Options) -> Pending {
    let mut pending = Pending { launches: Vec::new(), scratch: Vec::new() };
    for step in &plan.steps {
        let mut lowering = Lowering::new(step, options.precision);
        kernels::lower(&step.op, &mut lowering);
        let Lowering { launches, scratch, .. } = lowering;
        largest_of_each(&mut pending.scratch, &scratch);
        if options.poison {
            let pairs = step.op.def().in_place();
            let fresh = step.outputs.iter().enumerate().filter(|(r, _)| pairs.iter().all(|(o, _)| o != r));
            fresh.for_each(|(_, operand)| pending.fill(Place::Slot(operand.slot), operand.ty.words()));
            scratch.iter().enumerate().for_each(|(i, &words)| pending.fill(Place::Scratch(i), words));
        }
        for launch in launches.into_iter().filter(|launch| launch.blocks > 0) {
            let places = launch.bindings.iter().map(|binding| place(binding, step)).collect();
            pending.launches.push((launch, places));
        }
        if options.poison {
            step.frees.iter().for_each(|&slot| pending.fill(Place::Slot(slot), plan.slots[slot].words));
        }
    }
    pending
}

impl Pending {
    fn fill(&mut self, target: Place, words: usize) {
        // Which binding it is does not matter: the place is given beside the launch.
        let launch = kernels::fill(Binding::Output(0), words, POISON);
        if launch.blocks > 0 {
            self.launches.push((launch, vec![target]));
        }
    }
}

fn place(binding: &Binding, step: &Step) -> Place {
    match binding {
        Binding::Input(i) => Place::Slot(step.inputs[*i].slot),
        Binding::Output(i) => Place::Slot(step.outputs[*i].slot),
        Binding::Scratch(i) => Place::Scratch(*i),
        Binding::Table(table) => Place::Table(table.clone()),
    }
}

/// A host tensor as the device stores it.
pub(crate) fn words_of(tensor: &Tensor) -> Cow<'_, [u32]> {
    match tensor.data() {
        Data::F32(values) => Cow::Borrowed(bytemuck::cast_slice(values)),
        Data::F64(values) => Cow::Owned(values.iter().map(|&v| (v as f32).to_bits()).collect()),
        Data::I32(values) => Cow::Borrowed(bytemuck::cast_slice(values)),
        Data::Packed(words) => Cow::Borrowed(words),
    }
}
