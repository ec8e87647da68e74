//! Multiply-adds and nothing else, for whoever wants to know what fraction of a device a kernel gets.

use crate::Wgpu;
use crate::exec::{allocate, bind, write_params};
use crate::kernel::PARAM_WORDS;
use crate::kernels::{RESULTS, peak};
use crate::read::read_words;
use golf_core::backend::BackendError;

/// Workgroups of a dispatch: enough to fill the largest GPU several times over.
const GROUPS: usize = 8192;

/// Rounds of a dispatch: with [`GROUPS`], 137 GFLOP, a few milliseconds of a large GPU.
const ROUNDS: u32 = 512;

impl Wgpu {
    /// Runs `share` (in 0 to 1) of a dispatch of independent f32 multiply-adds, `dispatches` times, waits for the end, and
    /// returns the number of floating-point operations (a multiply-add is two). Timed by the caller.
    pub async fn multiply_add(&mut self, share: f64, dispatches: usize) -> Result<u64, BackendError> {
        let groups = ((GROUPS as f64 * share) as usize).clamp(1, GROUPS);
        let launch = peak(groups, ROUNDS);
        let pipeline = self.pipelines.get(&self.gpu, launch.kernel).await?;
        let results = allocate(&self.gpu, groups * RESULTS, "results of multiply-adds").await?;
        let mut params = [0; 4 * PARAM_WORDS];
        write_params(&mut params, 0, &launch);
        let uniform = self.gpu.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("parameters"),
            size: params.len() as u64,
            usage: wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        self.gpu.queue.write_buffer(&uniform, 0, &params);
        let buffers = [(&results, groups * RESULTS)];
        let bind_group = bind(&self.gpu, &pipeline, &uniform, buffers.into_iter());
        // One submission each: a watchdog counts submissions.
        for _ in 0..dispatches {
            let mut encoder =
                self.gpu.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
            {
                let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
                pass.set_pipeline(&pipeline.compute);
                pass.set_bind_group(0, &bind_group, &[0]);
                pass.dispatch_workgroups(groups as u32, 1, 1);
            }
            self.gpu.queue.submit([encoder.finish()]);
        }
        read_words(&self.gpu, &results, 1).await?;
        Ok(launch.flops * dispatches as u64)
    }
}
