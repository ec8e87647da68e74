//! Bringing words back from a buffer of the device.

use crate::device::Gpu;
use futures_channel::oneshot;
use golf_core::backend::BackendError;

/// The first `words` words of `buffer`, once everything submitted before has run.
pub(crate) async fn read_words(
    gpu: &Gpu,
    buffer: &wgpu::Buffer,
    words: usize,
) -> Result<Vec<u32>, BackendError> {
    gpu.check()?;
    let bytes = 4 * words as u64;
    let staging = gpu.device.create_buffer(&wgpu::BufferDescriptor {
        label: Some("read back"),
        size: bytes,
        usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
        mapped_at_creation: false,
    });
    let mut encoder = gpu.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    encoder.copy_buffer_to_buffer(buffer, 0, &staging, 0, bytes);
    gpu.queue.submit([encoder.finish()]);
    let (done, mapped) = oneshot::channel();
    staging.map_async(wgpu::MapMode::Read, .., move |result| {
        // The receiver is gone only when the reader was dropped, and then nobody wants the answer.
        let _ = done.send(result);
    });
    wait(gpu);
    let answer = mapped.await;
    gpu.check()?;
    // What is wrong with a read is reported above. One that fails without a report fails because the device is gone: a
    // browser says so to the read before it says so to the device's own callback.
    let lost = |reason: String| BackendError::Lost { backend: gpu.backend_name(), reason };
    answer.map_err(|_| lost("a read was cancelled".to_owned()))?.map_err(|e| lost(e.to_string()))?;
    let failed = |message: String| BackendError::Driver { backend: gpu.backend_name(), message };
    let view = staging.get_mapped_range(..).map_err(|e| failed(e.to_string()))?;
    let words = bytemuck::pod_collect_to_vec(&view);
    drop(view);
    staging.unmap();
    Ok(words)
}

/// Runs callbacks of finished work: natively nobody else does, in a browser the event loop.
fn wait(gpu: &Gpu) {
    // A lost device ends the wait with an error, which the check after it reports.
    let _ = gpu.device.poll(wgpu::PollType::wait_indefinitely());
}
