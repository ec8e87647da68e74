//! A plan on a device: its buffers, and its launches as dispatches with their bind groups, all made once.
//!
//! Nothing is allocated during a run but command buffers. A launch is cut into dispatches of at most [`DISPATCH_FLOPS`],
//! and a run into submissions of at most [`SUBMIT_FLOPS`], so that no watchdog takes slow hardware for hung.

use crate::device::Gpu;
use crate::footprint::largest_of_each;
use crate::kernel::PARAM_WORDS;
use crate::kernels;
use crate::lower::{Binding, Launch, Lowering, Table};
use crate::pipelines::{Pipeline, Pipelines};
use crate::tables::Tables;
use golf_core::backend::BackendError;
use golf_core::plan::{Plan, SlotKind, Step};
use golf_core::tensor::Tensor;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

/// Work of one dispatch: 50 ms at 80 GFLOP/s, slower than any GPU that a browser offers.
const DISPATCH_FLOPS: u64 = 4_000_000_000;

/// Work of one submission.
const SUBMIT_FLOPS: u64 = 16_000_000_000;

/// Named buffers of the device that outlive runs.
pub(crate) type States = BTreeMap<String, crate::State>;

/// One dispatch of a compiled plan.
struct Dispatch {
    pipeline: Arc<Pipeline>,
    bind_group: wgpu::BindGroup,
    /// Where its parameters start in the uniform buffer.
    offset: u32,
    groups: u32,
    flops: u64,
    step: usize,
}

/// A compiled plan.
pub(crate) struct Executable {
    pub plan: Plan,
    slots: Vec<wgpu::Buffer>,
    dispatches: Vec<Dispatch>,
    /// Copies of results that lie in a state's slot: other plans may change it before they are read.
    saved: Vec<Option<wgpu::Buffer>>,
    /// Bytes that this plan allocated itself: inputs, values, scratch, parameters, copies.
    pub bytes: u64,
}

/// What poisons a buffer: a quiet NaN.
const POISON: u32 = 0x7fc0_0000;

impl Executable {
    /// Allocates, compiles and binds everything that `plan` needs. States must exist.
    pub async fn new(
        gpu: &Gpu,
        plan: Plan,
        states: &States,
        pipelines: &mut Pipelines,
        tables: &mut Tables,
        poison: bool,
    ) -> Result<Executable, BackendError> {
        let mut bytes = 0;
        let mut slots = Vec::with_capacity(plan.slots.len());
        for (index, slot) in plan.slots.iter().enumerate() {
            slots.push(match &slot.kind {
                SlotKind::State(name) => states[name].buffer.clone(),
                SlotKind::Input(_) | SlotKind::Scratch => {
                    bytes += 4 * slot.words as u64;
                    allocate(gpu, slot.words, &format!("slot {index} of plan `{}`", plan.name)).await?
                }
            });
        }
        let saved = save_buffers(gpu, &plan, &mut bytes).await?;
        let mut builder =
            Builder { gpu, pipelines, tables, slots: &slots, steps: Vec::new(), scratch: Vec::new() };
        for (index, step) in plan.steps.iter().enumerate() {
            builder.add(index, step, poison, &plan);
        }
        let dispatches = builder.finish(&mut bytes).await?;
        gpu.check()?;
        Ok(Executable { plan, slots, dispatches, saved, bytes })
    }

    /// Gives its own buffers back to the device now; states belong to all plans.
    pub fn destroy(self) {
        let slots = self.plan.slots.iter().zip(&self.slots);
        let own =
            slots.filter(|(slot, _)| !matches!(slot.kind, SlotKind::State(_))).map(|(_, buffer)| buffer);
        own.chain(self.saved.iter().flatten()).for_each(wgpu::Buffer::destroy);
    }

    /// Writes the inputs into their slots.
    pub fn load(&self, gpu: &Gpu, inputs: &[&Tensor]) {
        for (port, tensor) in self.plan.inputs.iter().zip(inputs) {
            gpu.queue.write_buffer(
                &self.slots[port.operand.slot],
                0,
                bytemuck::cast_slice(&words_of(tensor)),
            );
        }
    }

    /// Submits all dispatches.
    pub fn run(&self, gpu: &Gpu) {
        for range in self.submissions() {
            let mut encoder = gpu.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
            {
                let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
                self.dispatches[range].iter().for_each(|dispatch| dispatch.encode(&mut pass));
            }
            gpu.queue.submit([encoder.finish()]);
        }
        self.save_outputs(gpu);
    }

    /// Submits all dispatches, each in a pass of its own between two time stamps: index `2i` and `2i + 1` of `queries`
    /// for dispatch i.
    pub fn run_timed(&self, gpu: &Gpu, queries: &wgpu::QuerySet) {
        let mut encoder = gpu.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        for (index, dispatch) in (0u32..).zip(&self.dispatches) {
            let timestamp_writes = Some(wgpu::ComputePassTimestampWrites {
                query_set: queries,
                beginning_of_pass_write_index: Some(2 * index),
                end_of_pass_write_index: Some(2 * index + 1),
            });
            let descriptor = wgpu::ComputePassDescriptor { label: None, timestamp_writes };
            dispatch.encode(&mut encoder.begin_compute_pass(&descriptor));
        }
        gpu.queue.submit([encoder.finish()]);
        self.save_outputs(gpu);
    }

    /// The step of every dispatch, in order.
    pub fn dispatch_steps(&self) -> Vec<usize> {
        self.dispatches.iter().map(|dispatch| dispatch.step).collect()
    }

    fn save_outputs(&self, gpu: &Gpu) {
        let mut encoder = gpu.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        for (port, saved) in self.plan.outputs.iter().zip(&self.saved) {
            if let Some(saved) = saved {
                encoder.copy_buffer_to_buffer(&self.slots[port.operand.slot], 0, saved, 0, saved.size());
            }
        }
        gpu.queue.submit([encoder.finish()]);
    }

    /// Buffer of the result `name`.
    pub fn output(&self, name: &str) -> Option<(&wgpu::Buffer, &golf_core::tensor::TensorType)> {
        let index = self.plan.outputs.iter().position(|port| port.name == name)?;
        let operand = &self.plan.outputs[index].operand;
        Some((self.saved[index].as_ref().unwrap_or(&self.slots[operand.slot]), &operand.ty))
    }

    /// Ranges of dispatches that are submitted together.
    fn submissions(&self) -> Vec<Range<usize>> {
        let (mut ranges, mut start, mut flops) = (Vec::new(), 0, 0);
        for (index, dispatch) in self.dispatches.iter().enumerate() {
            if index > start && flops + dispatch.flops > SUBMIT_FLOPS {
                ranges.push(start..index);
                (start, flops) = (index, 0);
            }
            flops += dispatch.flops;
        }
        ranges.push(start..self.dispatches.len());
        ranges
    }
}

impl Dispatch {
    fn encode(&self, pass: &mut wgpu::ComputePass<'_>) {
        pass.set_pipeline(&self.pipeline.compute);
        pass.set_bind_group(0, &self.bind_group, &[self.offset]);
        pass.dispatch_workgroups(self.groups, 1, 1);
    }
}

/// A launch of a step, or a fill, waiting for its buffers.
struct Pending {
    step: usize,
    launch: Launch,
    buffers: Vec<Source>,
}

/// Where a binding's memory is.
enum Source {
    Slot { slot: usize, words: usize },
    Scratch { index: usize, words: usize },
    Table(Table),
}

/// Collects the launches of all steps; scratch buffers are shared by all steps, each as large as its largest user.
struct Builder<'a> {
    gpu: &'a Gpu,
    pipelines: &'a mut Pipelines,
    tables: &'a mut Tables,
    slots: &'a [wgpu::Buffer],
    steps: Vec<Pending>,
    scratch: Vec<usize>,
}

impl Builder<'_> {
    fn add(&mut self, index: usize, step: &Step, poison: bool, plan: &Plan) {
        let mut lowering = Lowering::new(step, self.gpu.capabilities);
        kernels::lower(&step.op, &mut lowering);
        let Lowering { launches, scratch, .. } = lowering;
        largest_of_each(&mut self.scratch, &scratch);
        if poison {
            let pairs = step.op.def().in_place();
            let fresh = step.outputs.iter().enumerate().filter(|(r, _)| pairs.iter().all(|(o, _)| o != r));
            for (_, operand) in fresh {
                self.fill(index, Source::Slot { slot: operand.slot, words: operand.ty.words() });
            }
            for (i, &words) in scratch.iter().enumerate() {
                self.fill(index, Source::Scratch { index: i, words });
            }
        }
        for launch in launches {
            let buffers = launch.bindings.iter().map(|binding| source(binding, step, &scratch)).collect();
            self.steps.push(Pending { step: index, launch, buffers });
        }
        if poison {
            for &slot in &step.frees {
                self.fill(index, Source::Slot { slot, words: plan.slots[slot].words });
            }
        }
    }

    fn fill(&mut self, step: usize, target: Source) {
        let (Source::Slot { words, .. } | Source::Scratch { words, .. }) = target else { return };
        let launch = kernels::fill(words, POISON);
        self.steps.push(Pending { step, launch, buffers: vec![target] });
    }

    async fn finish(self, bytes: &mut u64) -> Result<Vec<Dispatch>, BackendError> {
        let Builder { gpu, pipelines, tables, slots, steps, scratch } = self;
        let mut scratch_buffers = Vec::new();
        for &words in &scratch {
            *bytes += 4 * words as u64;
            scratch_buffers.push(allocate(gpu, words, "scratch memory of kernels").await?);
        }
        let stride =
            (4 * PARAM_WORDS as u64).next_multiple_of(gpu.limits.min_uniform_buffer_offset_alignment.into());
        let cuts: Vec<Vec<Range<usize>>> = steps.iter().map(|pending| cut(&pending.launch)).collect();
        let count = cuts.iter().map(Vec::len).sum::<usize>();
        let mut params = vec![0u8; stride as usize * count.max(1)];
        *bytes += params.len() as u64;
        let uniform = gpu.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("parameters"),
            size: params.len() as u64,
            usage: wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        let mut dispatches = Vec::with_capacity(count);
        for (pending, ranges) in steps.iter().zip(cuts) {
            let Launch { kernel, groups, flops, .. } = pending.launch;
            let pipeline = pipelines.get(gpu, kernel).await?;
            for source in &pending.buffers {
                if let Source::Table(table) = source {
                    tables.prepare(gpu, table);
                }
            }
            let buffers = pending.buffers.iter().map(|source| match source {
                Source::Slot { slot, words } => (&slots[*slot], *words),
                Source::Scratch { index, words } => (&scratch_buffers[*index], *words),
                Source::Table(table) => tables.get(table),
            });
            let bind_group = bind(gpu, &pipeline, &uniform, buffers);
            for range in ranges {
                let offset = stride as usize * dispatches.len();
                write_params(&mut params[offset..], range.start, &pending.launch);
                dispatches.push(Dispatch {
                    pipeline: Arc::clone(&pipeline),
                    bind_group: bind_group.clone(),
                    offset: offset as u32,
                    groups: range.len() as u32,
                    flops: flops * range.len() as u64 / groups.max(1) as u64,
                    step: pending.step,
                });
            }
        }
        gpu.queue.write_buffer(&uniform, 0, &params);
        Ok(dispatches)
    }
}

fn source(binding: &Binding, step: &Step, scratch: &[usize]) -> Source {
    let slot =
        |operand: &golf_core::plan::Operand| Source::Slot { slot: operand.slot, words: operand.ty.words() };
    match binding {
        Binding::Input(i) => slot(&step.inputs[*i]),
        Binding::Output(i) => slot(&step.outputs[*i]),
        Binding::Scratch(i) => Source::Scratch { index: *i, words: scratch[*i] },
        Binding::Table(table) => Source::Table(table.clone()),
    }
}

/// Workgroups of a launch, cut so that a dispatch keeps within WebGPU's count and [`DISPATCH_FLOPS`].
fn cut(launch: &Launch) -> Vec<Range<usize>> {
    const LARGEST: usize = 65_535;
    let parts = launch.flops.div_ceil(DISPATCH_FLOPS).max(1) as usize;
    let size = launch.groups.div_ceil(parts).clamp(1, LARGEST);
    (0..launch.groups).step_by(size).map(|start| start..(start + size).min(launch.groups)).collect()
}

/// Number of dispatches of a launch.
pub(crate) fn dispatch_count(launch: &Launch) -> usize {
    cut(launch).len()
}

pub(crate) fn write_params(bytes: &mut [u8], base: usize, launch: &Launch) {
    assert!(launch.params.len() < PARAM_WORDS, "parameters of kernel `{}`", launch.kernel.name);
    let words = std::iter::once(base as u32).chain(launch.params.iter().map(|param| param.word()));
    for (chunk, word) in bytes.chunks_exact_mut(4).zip(words) {
        chunk.copy_from_slice(&word.to_le_bytes());
    }
}

/// A kernel's parameters and storage buffers (with the words that it may see) as it binds them.
pub(crate) fn bind<'a>(
    gpu: &Gpu,
    pipeline: &Pipeline,
    uniform: &'a wgpu::Buffer,
    buffers: impl Iterator<Item = (&'a wgpu::Buffer, usize)>,
) -> wgpu::BindGroup {
    let binding =
        |buffer, bytes| wgpu::BufferBinding { buffer, offset: 0, size: std::num::NonZeroU64::new(bytes) };
    let params = (uniform, 4 * PARAM_WORDS as u64);
    let storage = buffers.map(|(buffer, words)| (buffer, 4 * words as u64));
    let entries: Vec<_> = (0u32..)
        .zip(std::iter::once(params).chain(storage))
        .map(|(index, (buffer, bytes))| wgpu::BindGroupEntry {
            binding: index,
            resource: wgpu::BindingResource::Buffer(binding(buffer, bytes)),
        })
        .collect();
    let descriptor = wgpu::BindGroupDescriptor { label: None, layout: &pipeline.layout, entries: &entries };
    gpu.device.create_bind_group(&descriptor)
}

/// A storage buffer of `words`, zeroed; refused with the limit's name when the device cannot bind it.
pub(crate) async fn allocate(gpu: &Gpu, words: usize, what: &str) -> Result<wgpu::Buffer, BackendError> {
    let scope = gpu.device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
    let buffer = allocate_now(gpu, words, what);
    match scope.pop().await {
        None => buffer,
        Some(error) => Err(gpu.caught(error, what)),
    }
}

/// [`allocate`] where nothing can be awaited: exhausted memory is reported by the next call.
pub(crate) fn allocate_now(gpu: &Gpu, words: usize, what: &str) -> Result<wgpu::Buffer, BackendError> {
    let needed = 4 * words.max(1) as u64;
    let limits = [
        ("maxStorageBufferBindingSize", gpu.limits.max_storage_buffer_binding_size),
        ("maxBufferSize", gpu.limits.max_buffer_size),
    ];
    if let Some(&(limit, available)) = limits.iter().find(|(_, available)| needed > *available) {
        let (backend, what) = (gpu.backend_name(), what.to_owned());
        return Err(BackendError::TooLarge { backend, what, limit, needed, available });
    }
    Ok(gpu.device.create_buffer(&wgpu::BufferDescriptor {
        label: Some(what),
        size: needed,
        usage: wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST,
        mapped_at_creation: false,
    }))
}

async fn save_buffers(
    gpu: &Gpu,
    plan: &Plan,
    bytes: &mut u64,
) -> Result<Vec<Option<wgpu::Buffer>>, BackendError> {
    let mut saved = Vec::with_capacity(plan.outputs.len());
    for port in &plan.outputs {
        let in_state = matches!(plan.slots[port.operand.slot].kind, SlotKind::State(_));
        saved.push(if in_state {
            *bytes += port.operand.ty.bytes() as u64;
            Some(allocate(gpu, port.operand.ty.words(), &format!("output `{}`", port.name)).await?)
        } else {
            None
        });
    }
    Ok(saved)
}

/// A host tensor as the device stores it.
pub(crate) fn words_of(tensor: &Tensor) -> Cow<'_, [u32]> {
    use golf_core::tensor::Data;
    match tensor.data() {
        Data::F32(values) => Cow::Borrowed(bytemuck::cast_slice(values)),
        Data::F64(values) => Cow::Owned(values.iter().map(|&v| (v as f32).to_bits()).collect()),
        Data::I32(values) => Cow::Borrowed(bytemuck::cast_slice(values)),
        Data::Packed(words) => Cow::Borrowed(words),
    }
}
