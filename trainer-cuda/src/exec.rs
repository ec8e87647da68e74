//! A plan on a device: its buffers, and its launches with their functions and arguments, all made once.
//!
//! Nothing is allocated during a run, and from its second run on a plan is one call of the device, or one per part where
//! something is to begin in its midst.

use crate::driver::Driver;
use crate::kernel::{Kernel, Param};
use crate::lower::Launch;
use crate::pending::{Options, Pending, Place, Placed};
use crate::products::Chosen;
use crate::tables::Tables;
use golf_core::backend::{BackendError, TraceEntry};
use golf_core::plan::{Plan, SlotKind};
use golf_core::tensor::{Data, Tensor, TensorType};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;

/// A named buffer that outlives runs.
pub(crate) struct State<B> {
    pub ty: TensorType,
    pub buffer: B,
}

/// All of a device's, by name.
pub(crate) type States<B> = BTreeMap<String, State<B>>;

/// A launch with everything that it needs.
struct Ready<D: Driver> {
    work: Work<D>,
    buffers: Vec<D::Buffer>,
    params: Vec<Param>,
    /// The step of the plan that it belongs to.
    step: usize,
    /// Other steps whose work it does too.
    joined: Vec<usize>,
}

/// Who does a launch's work.
enum Work<D: Driver> {
    Kernel { function: D::Function, kernel: &'static Kernel, blocks: usize },
    Library(D::Product),
}

impl<D: Driver> Ready<D> {
    fn launch(&self, driver: &mut D) -> Result<(), BackendError> {
        match &self.work {
            Work::Kernel { function, kernel, blocks } => {
                driver.launch(function, kernel, *blocks, &self.buffers, &self.params)
            }
            Work::Library(product) => {
                let [a, b, onto, y] = &self.buffers[..] else { unreachable!("a product has four buffers") };
                driver.multiply(product, [a, b, onto, y], self.params[0].word() as usize)
            }
        }
    }
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
    /// Numbers of steps after which a part ends, where the plan has parts.
    cuts: Vec<usize>,
    parts: Vec<Part<D::Recording>>,
}

/// Launches that run as one call.
struct Part<R> {
    launches: Range<usize>,
    /// Whether results are copied out of states after them.
    saves: bool,
    recorded: Recorded<R>,
}

/// How a part runs next.
enum Recorded<R> {
    /// For the first time: a driver may still load code.
    First,
    /// From then on as one call.
    Next,
    As(R),
    /// The device does not record it.
    Never,
}

impl<D: Driver> Executable<D> {
    /// Allocates and compiles everything that `plan` needs. States must exist.
    pub fn new(
        driver: &mut D,
        plan: Plan,
        states: &States<D::Buffer>,
        tables: &mut Tables<D::Buffer>,
        chosen: &Chosen<D::Product>,
        options: Options,
    ) -> Result<Self, BackendError> {
        let mut memory = Memory { driver, bytes: 0 };
        let pending = Pending::of(&plan, options, chosen.products());
        let mut slots = Vec::with_capacity(plan.slots.len());
        for (index, (slot, &words)) in plan.slots.iter().zip(&pending.slots).enumerate() {
            slots.push(match &slot.kind {
                SlotKind::State(name) => states[name].buffer.clone(),
                SlotKind::Input(_) | SlotKind::Scratch => {
                    memory.allocate(words, &format!("slot {index} of plan `{}`", plan.name))?
                }
            });
        }
        let mut saved = Vec::with_capacity(plan.outputs.len());
        for port in &plan.outputs {
            let in_state = matches!(plan.slots[port.operand.slot].kind, SlotKind::State(_));
            let mut copy = || memory.allocate(port.operand.ty.words(), &format!("output `{}`", port.name));
            saved.push(if in_state { Some(copy()?) } else { None });
        }
        let mut shared = |sizes: &[usize], what: &str| -> Result<Vec<D::Buffer>, BackendError> {
            sizes.iter().map(|&words| memory.allocate(words, what)).collect()
        };
        let scratch = shared(&pending.scratch, "scratch memory of kernels")?;
        let partials = shared(&pending.partials, "partial sums")?;
        let rounded = shared(&pending.rounded, "operands in bf16")?;
        let bytes = memory.bytes + 4 * pending.table_words() as u64;
        let mut launches = Vec::with_capacity(pending.launches.len());
        for Placed { launch, rows, places, step, joined } in pending.launches {
            let mut at = |places: &[Place]| -> Result<Vec<D::Buffer>, BackendError> {
                let buffer = |place: &Place| match place {
                    Place::Slot(slot) => Ok(slots[*slot].clone()),
                    Place::Scratch(index) => Ok(scratch[*index].clone()),
                    Place::Partial(index) => Ok(partials[*index].clone()),
                    Place::Rounded(index) => Ok(rounded[*index].clone()),
                    Place::Table(table) => tables.get(driver, table),
                };
                places.iter().map(buffer).collect()
            };
            let mut buffers = at(&places)?;
            let Launch { kernel, gemm, storage, mut params, blocks, .. } = launch;
            let rows: Result<Vec<_>, BackendError> =
                rows.iter().map(|row| Ok(row.with_pointers(at(&row.pointers)?))).collect();
            let rows = rows?;
            if !rows.is_empty() {
                buffers.insert(0, driver.table(&rows)?);
                params.insert(0, rows.len().into());
            }
            let work = match gemm {
                Some(gemm) => Work::Library(chosen.product(&gemm)),
                None => Work::Kernel { function: driver.function(kernel, storage)?, kernel, blocks },
            };
            launches.push(Ready { work, buffers, params, step, joined });
        }
        let mut executable =
            Executable { plan, slots, launches, saved, bytes, cuts: Vec::new(), parts: Vec::new() };
        executable.cut(&[]);
        Ok(executable)
    }

    /// Ends a part after each of these numbers of steps, in order, from now on; recordings of others are dropped.
    pub fn cut(&mut self, cuts: &[usize]) {
        if !self.parts.is_empty() && self.cuts == cuts {
            return;
        }
        let steps = self.plan.steps.len();
        let rest = (cuts.last() != Some(&steps)).then_some(steps);
        let mut start = 0;
        let mut saved = false;
        let part = |end: usize| {
            let launches = start..self.launches.partition_point(|launch| launch.step < end);
            start = launches.end;
            let saves = end == steps && !std::mem::replace(&mut saved, end == steps);
            Part { launches, saves, recorded: Recorded::First }
        };
        self.parts = cuts.iter().copied().chain(rest).map(part).collect();
        self.cuts = cuts.to_vec();
    }

    /// Writes the inputs into their slots.
    pub fn load(&self, driver: &mut D, inputs: &[&Tensor]) -> Result<(), BackendError> {
        let slots = self.plan.inputs.iter().map(|port| &self.slots[port.operand.slot]);
        slots.zip(inputs).try_for_each(|(slot, tensor)| driver.upload(&words_of(tensor), slot))
    }

    /// Launches everything: call by call the first time, afterwards as one recording. Nothing in it changes between runs:
    /// what does (rates, momentum, tokens) is an input, in memory. Where the device does not record, why; every run then is
    /// call by call.
    ///
    /// After every part, `after` is called with its number.
    pub fn run(
        &mut self,
        driver: &mut D,
        after: &mut dyn FnMut(&mut D, usize) -> Result<(), BackendError>,
    ) -> Result<Option<BackendError>, BackendError> {
        let mut refusal = None;
        for part in 0..self.parts.len() {
            refusal = refusal.or(self.run_part(driver, part)?);
            after(driver, part)?;
        }
        Ok(refusal)
    }

    fn run_part(&mut self, driver: &mut D, part: usize) -> Result<Option<BackendError>, BackendError> {
        let Part { launches, saves, recorded } = &self.parts[part];
        // Where two groups of states get their last values in one step there is nothing between their cuts to record.
        if launches.is_empty() && !saves {
            return Ok(None);
        }
        if let Recorded::As(recording) = recorded {
            return driver.replay(recording).map(|()| None);
        }
        let recording = match recorded {
            Recorded::Next => driver.record(&mut |driver| self.launch(driver, part)),
            _ => {
                self.launch(driver, part)?;
                if matches!(recorded, Recorded::First) {
                    self.parts[part].recorded = Recorded::Next;
                }
                return Ok(None);
            }
        };
        match recording {
            Ok(recording) => {
                driver.replay(&recording)?;
                self.parts[part].recorded = Recorded::As(recording);
                Ok(None)
            }
            Err(reason @ BackendError::Driver { .. }) => {
                self.parts[part].recorded = Recorded::Never;
                self.launch(driver, part).map(|()| Some(reason))
            }
            Err(error) => Err(error),
        }
    }

    fn launch(&self, driver: &mut D, part: usize) -> Result<(), BackendError> {
        let Part { launches, saves, .. } = &self.parts[part];
        for ready in &self.launches[launches.clone()] {
            ready.launch(driver)?;
        }
        if *saves { self.save(driver) } else { Ok(()) }
    }

    /// Launches everything call by call; the time of every step. Where the host is slower than the device, a step's time is
    /// the host's. A launch that does the work of several steps is timed with the first of them, and the others say so.
    pub fn trace(&self, driver: &mut D) -> Result<Vec<TraceEntry>, BackendError> {
        let mut moments = vec![driver.moment()?];
        for of_step in self.launches.chunk_by(|a, b| a.step == b.step) {
            of_step.iter().try_for_each(|ready| ready.launch(driver))?;
            moments.push(driver.moment()?);
        }
        self.save(driver)?;
        let mut seconds = vec![0.0; self.plan.steps.len()];
        let steps = self.launches.chunk_by(|a, b| a.step == b.step).map(|of_step| of_step[0].step);
        for (step, between) in steps.zip(moments.windows(2)) {
            seconds[step] = driver.seconds(&between[0], &between[1])?;
        }
        let mut entries: Vec<TraceEntry> = self
            .plan
            .steps
            .iter()
            .zip(seconds)
            .map(|(step, seconds)| TraceEntry::new(step, seconds))
            .collect();
        for ready in &self.launches {
            ready.joined.iter().for_each(|&step| entries[step].timed_with = Some(ready.step));
        }
        Ok(entries)
    }

    /// Copies results that lie in states.
    fn save(&self, driver: &mut D) -> Result<(), BackendError> {
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

/// A host tensor as the device stores it.
pub(crate) fn words_of(tensor: &Tensor) -> Cow<'_, [u32]> {
    match tensor.data() {
        Data::F32(values) => Cow::Borrowed(bytemuck::cast_slice(values)),
        Data::F64(values) => Cow::Owned(values.iter().map(|&v| (v as f32).to_bits()).collect()),
        Data::I32(values) => Cow::Borrowed(bytemuck::cast_slice(values)),
        Data::Packed(words) => Cow::Borrowed(words),
    }
}
