//! Compiled kernels, one pipeline each, shared by all plans of a device.

use crate::device::Gpu;
use crate::kernel::{Kernel, PARAM_WORDS};
use golf_core::backend::BackendError;
use std::collections::HashMap;
use std::sync::Arc;

/// A compiled kernel.
pub(crate) struct Pipeline {
    pub compute: wgpu::ComputePipeline,
    pub layout: wgpu::BindGroupLayout,
}

/// Pipelines by kernel name.
#[derive(Default)]
pub(crate) struct Pipelines(HashMap<&'static str, Arc<Pipeline>>);

impl Pipelines {
    /// The pipeline of `kernel`, compiled on first use. A shader that the driver rejects is an error here, not a silent
    /// nothing at the first dispatch.
    pub async fn get(&mut self, gpu: &Gpu, kernel: &'static Kernel) -> Result<Arc<Pipeline>, BackendError> {
        if let Some(pipeline) = self.0.get(kernel.name) {
            return Ok(Arc::clone(pipeline));
        }
        let pipeline = Arc::new(compile(gpu, kernel).await?);
        self.0.insert(kernel.name, Arc::clone(&pipeline));
        Ok(pipeline)
    }
}

async fn compile(gpu: &Gpu, kernel: &Kernel) -> Result<Pipeline, BackendError> {
    let internal = gpu.device.push_error_scope(wgpu::ErrorFilter::Internal);
    let validation = gpu.device.push_error_scope(wgpu::ErrorFilter::Validation);
    let pipeline = build(&gpu.device, kernel);
    let caught = [validation.pop().await, internal.pop().await];
    match caught.into_iter().flatten().next() {
        None => Ok(pipeline),
        Some(error) => Err(BackendError::Kernel {
            backend: gpu.backend_name(),
            kernel: kernel.name.to_owned(),
            message: error.to_string(),
        }),
    }
}

fn build(device: &wgpu::Device, kernel: &Kernel) -> Pipeline {
    let label = Some(kernel.name);
    let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
        label,
        source: wgpu::ShaderSource::Wgsl(kernel.wgsl().into()),
    });
    let layout = device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
        label,
        entries: &layout_entries(kernel),
    });
    let pipeline_layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
        label,
        bind_group_layouts: &[Some(&layout)],
        immediate_size: 0,
    });
    let compute = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
        label,
        layout: Some(&pipeline_layout),
        module: &module,
        entry_point: Some(kernel.entry),
        compilation_options: wgpu::PipelineCompilationOptions {
            // Every kernel writes its workgroup memory before it reads it.
            zero_initialize_workgroup_memory: false,
            ..Default::default()
        },
        cache: None,
    });
    Pipeline { compute, layout }
}

fn layout_entries(kernel: &Kernel) -> Vec<wgpu::BindGroupLayoutEntry> {
    let entry = |binding, ty, has_dynamic_offset, size: Option<u64>| wgpu::BindGroupLayoutEntry {
        binding,
        visibility: wgpu::ShaderStages::COMPUTE,
        ty: wgpu::BindingType::Buffer {
            ty,
            has_dynamic_offset,
            min_binding_size: size.and_then(std::num::NonZeroU64::new),
        },
        count: None,
    };
    let params = entry(0, wgpu::BufferBindingType::Uniform, true, Some(4 * PARAM_WORDS as u64));
    let storage = kernel.read_only().zip(1u32..).map(|(read_only, binding)| {
        entry(binding, wgpu::BufferBindingType::Storage { read_only }, false, None)
    });
    std::iter::once(params).chain(storage).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "struct Params { base: u32 } @group(0) @binding(0) var<uniform> params: Params;
        @group(0) @binding(1) var<storage, read_write> y: array<f32>;";

    /// Not WGSL, a type error, and a kernel that binds what it did not declare.
    static REJECTED: [Kernel; 3] = [
        Kernel { name: "no_wgsl", source: &["kernel void main() {}"], entry: "main", access: "w" },
        Kernel {
            name: "wrong_type",
            source: &[HEAD, "@compute @workgroup_size(64) fn main() { y[0] = params.base; }"],
            entry: "main",
            access: "w",
        },
        Kernel {
            name: "undeclared_buffer",
            source: &[HEAD, "@compute @workgroup_size(64) fn main() { y[0] = f32(params.base); }"],
            entry: "main",
            access: "",
        },
    ];

    #[test]
    fn a_shader_that_the_driver_rejects_is_an_error_with_its_name_and_the_device_lives_on() {
        let Ok(gpu) = pollster::block_on(Gpu::open(0)) else {
            let required = std::env::var("REQUIRE_BACKENDS").unwrap_or_default();
            assert!(!required.contains("wgpu"), "backend `wgpu` is required but unavailable");
            println!("SKIPPED: no GPU adapter");
            return;
        };
        let mut pipelines = Pipelines::default();
        for kernel in &REJECTED {
            match pollster::block_on(pipelines.get(&gpu, kernel)).err() {
                Some(BackendError::Kernel { kernel: name, message, .. }) => {
                    assert_eq!(name, kernel.name);
                    assert!(!message.is_empty());
                }
                other => panic!("`{}`: {other:?}", kernel.name),
            }
            assert_eq!(gpu.check(), Ok(()));
        }
        let fill = crate::kernels::fill(64, 0).kernel;
        assert!(pollster::block_on(pipelines.get(&gpu, fill)).is_ok());
    }
}
