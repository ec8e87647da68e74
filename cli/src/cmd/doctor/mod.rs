//! `golf doctor`: what this machine can compute on, and which kernels each GPU would get.
//!
//! One row per device, of a type per kind. A device that cannot be used is a row with its reason and not an error: the
//! command succeeds on any machine.

mod kernels;
mod print;

use super::kernels::architectures;
use crate::exit::{Outcome, Status};
use clap::Args;
use golf_core::cpu::Cpu;
use golf_cuda::{DeviceInfo, Nvrtc};
use golf_wgpu::{Adapter, DeviceError, Wgpu, adapters};
use pollster::block_on;
use serde::Serialize;
use std::collections::BTreeMap;

/// Flags of `golf doctor`.
#[derive(Args, Clone, Debug)]
pub struct DoctorArgs {
    /// Print one JSON object instead of tables
    #[arg(long)]
    json: bool,
}

/// What was found.
#[derive(Serialize)]
struct Report {
    program: &'static str,
    devices: Vec<Row>,
    /// What CUDA needs beside a GPU.
    cuda: CudaRow,
    /// What a user could do to get more.
    hints: Vec<String>,
}

/// A device, as its kind describes itself.
#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Row {
    Cpu(CpuRow),
    Wgpu(WgpuRow),
    Cuda(GpuRow),
}

#[derive(Serialize)]
struct CpuRow {
    /// As `--device` takes it.
    device: String,
    architecture: &'static str,
    threads: usize,
    instructions: &'static str,
}

#[derive(Serialize)]
struct WgpuRow {
    /// As `--device` takes it.
    device: String,
    name: String,
    api: String,
    driver: String,
    driver_info: String,
    #[serde(rename = "type")]
    device_type: String,
    /// It computes on the CPU; `--device auto` passes it over.
    software: bool,
    /// Why it cannot be used.
    problem: Option<String>,
    limits: Vec<Limit>,
    features: BTreeMap<&'static str, bool>,
    /// Kernels by op, over the plans of scoring, generation and training of the preset that `kernels` names.
    kernels: BTreeMap<&'static str, Vec<&'static str>>,
}

/// An NVIDIA GPU.
#[derive(Serialize)]
struct GpuRow {
    /// As `--device` takes it.
    device: String,
    name: String,
    /// Compute capability, such as 9.0.
    compute: String,
    memory_bytes: u64,
}

/// A part of CUDA: its version, or why there is none.
#[derive(Serialize)]
#[serde(untagged)]
enum Part {
    Version { version: String },
    Problem { problem: String },
}

impl Part {
    fn of<E: ToString>(version: Result<(i32, i32), E>) -> Self {
        match version {
            Ok((major, minor)) => Part::Version { version: format!("{major}.{minor}") },
            Err(error) => Part::Problem { problem: error.to_string() },
        }
    }
}

/// What is there of CUDA.
#[derive(Serialize)]
struct CudaRow {
    /// Newest CUDA version that the driver runs.
    driver: Part,
    /// Version of the compiler of kernels.
    nvrtc: Part,
    /// Where compiled kernels are looked for, in order: what `GOLF_KERNELS` names, then the cache.
    kernel_folders: Vec<String>,
    /// How many of them are there, by architecture.
    kernels: Vec<CompiledRow>,
    /// Version of the library of products in bf16; without it our own kernels form them.
    cublaslt: Part,
    /// Version of the library that sums states between GPUs; without it they go through the host.
    nccl: Part,
}

/// Compiled kernels of an architecture.
#[derive(Serialize)]
struct CompiledRow {
    arch: String,
    /// Files that this version has.
    files: usize,
    /// Files whose code is there.
    compiled: usize,
}

#[derive(Serialize)]
struct Limit {
    name: &'static str,
    /// WebGPU's default, which is what kernels need.
    needed: u64,
    available: u64,
}

/// Runs the command.
pub fn run(args: &DoctorArgs) -> Outcome {
    let found = block_on(adapters());
    let mut devices = vec![Row::Cpu(cpu())];
    for (index, adapter) in found.iter().enumerate() {
        devices.push(Row::Wgpu(wgpu(index, adapter)?));
    }
    let (cuda, gpus, too_new) = cuda();
    devices.extend(gpus.into_iter().enumerate().map(|(index, gpu)| Row::Cuda(gpu_row(index, gpu))));
    let mut hints = Vec::from_iter(too_new);
    if found.is_empty() {
        hints.push(DeviceError::NoAdapter.to_string());
    } else if found.iter().all(Adapter::is_software) {
        hints.push("every GPU adapter is software: `--device auto` takes the CPU".to_owned());
    }
    let report = Report { program: concat!("golf ", env!("CARGO_PKG_VERSION")), devices, cuda, hints };
    match args.json {
        true => println!("{}", serde_json::to_string_pretty(&report)?),
        false => print!("{}", print::text(&report)),
    }
    Ok(Status::Done)
}

fn cpu() -> CpuRow {
    CpuRow {
        device: "cpu".to_owned(),
        architecture: std::env::consts::ARCH,
        threads: std::thread::available_parallelism().map_or(1, usize::from),
        instructions: Cpu::instructions(),
    }
}

fn wgpu(index: usize, adapter: &Adapter) -> Result<WgpuRow, golf_core::ops::OpError> {
    let info = adapter.info();
    let limit = |(name, needed, available)| Limit { name, needed, available };
    Ok(WgpuRow {
        device: format!("wgpu:{index}"),
        name: info.name,
        api: info.backend.to_string(),
        driver: info.driver,
        driver_info: info.driver_info,
        device_type: format!("{:?}", info.device_type),
        software: adapter.is_software(),
        problem: block_on(Wgpu::open(index)).err().map(|error| error.to_string()),
        limits: adapter.needed_limits().into_iter().map(limit).collect(),
        features: adapter.features().into_iter().collect(),
        kernels: kernels::by_op(adapter.capabilities())?,
    })
}

/// What there is of CUDA, the GPUs that its driver lists, and what to do where driver and compiler do not go together.
fn cuda() -> (CudaRow, Vec<DeviceInfo>, Option<String>) {
    let (driver, gpus) = match golf_cuda::devices() {
        Ok((version, gpus)) => (Ok(version), gpus),
        Err(error) => (Err(error), Vec::new()),
    };
    let nvrtc = Nvrtc::load().map(|nvrtc| nvrtc.version);
    let both = nvrtc.as_ref().ok().zip(driver.as_ref().ok());
    let too_new = both.and_then(|(nvrtc, driver)| golf_cuda::too_new(*nvrtc, *driver));
    let cublaslt = golf_cuda::cublaslt_version();
    let nccl = golf_cuda::nccl_version();
    let row = CudaRow {
        driver: Part::of(driver),
        nvrtc: Part::of(nvrtc),
        kernel_folders: golf_cuda::code_folders().iter().map(|folder| folder.display().to_string()).collect(),
        kernels: architectures(&gpus).into_iter().map(compiled).collect(),
        cublaslt: Part::of(cublaslt),
        nccl: Part::of(nccl),
    };
    (row, gpus, too_new)
}

fn compiled(arch: String) -> CompiledRow {
    let units = golf_cuda::units(&arch);
    let compiled = units.iter().filter(|(unit, _)| unit.is_made(&arch)).count();
    CompiledRow { arch, files: units.len(), compiled }
}

fn gpu_row(index: usize, info: DeviceInfo) -> GpuRow {
    let (major, minor) = info.compute;
    let compute = format!("{major}.{minor}");
    GpuRow { device: format!("cuda:{index}"), name: info.name, compute, memory_bytes: info.memory }
}
