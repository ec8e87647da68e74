//! Constant tables of a device: numbers that need f64, which WGSL does not have.

use crate::device::Gpu;
use crate::lower::Table;
use golf_core::ops::rope_table;

/// Tables by content.
#[derive(Default)]
pub(crate) struct Tables(Vec<(Table, wgpu::Buffer, usize)>);

impl Tables {
    /// Uploads `table` unless it is there.
    pub fn prepare(&mut self, gpu: &Gpu, table: &Table) {
        if self.0.iter().any(|(known, ..)| known == table) {
            return;
        }
        let values = values(table);
        // A binding may not be empty.
        let size = 4 * values.len().max(1) as u64;
        let buffer = gpu.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("constant table"),
            size,
            usage: wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        gpu.queue.write_buffer(&buffer, 0, bytemuck::cast_slice(&values));
        self.0.push((table.clone(), buffer, values.len().max(1)));
    }

    /// Buffer and words of a prepared table.
    pub fn get(&self, table: &Table) -> (&wgpu::Buffer, usize) {
        let found = self.0.iter().find(|(known, ..)| known == table);
        let (_, buffer, words) = found.expect("a table is prepared before it is bound");
        (buffer, *words)
    }

    /// Bytes of all tables.
    pub fn bytes(&self) -> u64 {
        self.0.iter().map(|(_, buffer, _)| buffer.size()).sum()
    }
}

fn values(&Table::Rope { seq, dims, base }: &Table) -> Vec<f32> {
    rope_table(seq, dims, base)
}
