//! Time per step of a run, by the device's own time stamps.

use crate::device::Gpu;
use crate::exec::Executable;
use crate::read::read_words;
use golf_core::backend::{BackendError, TraceEntry};

/// Queries that one set may hold: WebGPU's limit.
const MAX_QUERIES: u32 = 4096;

/// Runs `executable`, whose inputs are loaded, and returns its steps with their times; `None` where the device has no time
/// stamps, or too few for the plan.
pub(crate) async fn run_traced(
    gpu: &Gpu,
    executable: &Executable,
) -> Result<Option<Vec<TraceEntry>>, BackendError> {
    let steps = executable.dispatch_steps();
    let count = 2 * steps.len() as u32;
    if !gpu.device.features().contains(wgpu::Features::TIMESTAMP_QUERY) || !(1..=MAX_QUERIES).contains(&count)
    {
        return Ok(None);
    }
    let queries = gpu.device.create_query_set(&wgpu::QuerySetDescriptor {
        label: Some("time stamps"),
        ty: wgpu::QueryType::Timestamp,
        count,
    });
    executable.run_timed(gpu, &queries);
    let resolved = gpu.device.create_buffer(&wgpu::BufferDescriptor {
        label: Some("time stamps"),
        size: 8 * u64::from(count),
        usage: wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC,
        mapped_at_creation: false,
    });
    let mut encoder = gpu.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    encoder.resolve_query_set(&queries, 0..count, &resolved, 0);
    gpu.queue.submit([encoder.finish()]);
    let words = read_words(gpu, &resolved, 2 * count as usize).await?;
    let stamps: Vec<u64> = words.chunks_exact(2).map(|w| u64::from(w[0]) | u64::from(w[1]) << 32).collect();
    let period = f64::from(gpu.queue.get_timestamp_period()) * 1e-9;
    let mut seconds = vec![0.0; executable.plan.steps.len()];
    for (step, pair) in steps.into_iter().zip(stamps.chunks_exact(2)) {
        seconds[step] += pair[1].saturating_sub(pair[0]) as f64 * period;
    }
    let steps = executable.plan.steps.iter().zip(seconds);
    Ok(Some(steps.map(|(step, seconds)| TraceEntry::new(step, seconds)).collect()))
}
