//! The report for people.

use super::kernels::{PRESET, WINDOW};
use super::{CompiledRow, CpuRow, GpuRow, Part, Report, Row, WgpuRow};
use crate::table::markdown;

pub(super) fn text(report: &Report) -> String {
    let header = ["device", "name", "interface", "driver", "type", "state"];
    let rows: Vec<Vec<String>> = report.devices.iter().map(line).collect();
    let mut text = format!("{}\n\n", markdown(&header, &rows));
    let adapters = report.devices.iter().filter_map(|row| match row {
        Row::Wgpu(row) => Some(row),
        Row::Cpu(_) | Row::Cuda(_) => None,
    });
    adapters.for_each(|row| text.push_str(&adapter(row)));
    let part = |part: &Part| match part {
        Part::Version { version } => version.clone(),
        Part::Problem { problem } => problem.replace('\n', "; "),
    };
    text.push_str(&format!("CUDA driver: {}\n", part(&report.cuda.driver)));
    text.push_str(&format!("CUDA compiler (NVRTC): {}\n", part(&report.cuda.nvrtc)));
    let made = |row: &CompiledRow| format!("{} {} of {}", row.arch, row.compiled, row.files);
    let made: Vec<String> = report.cuda.kernels.iter().map(made).collect();
    let folders = match &report.cuda.kernel_folders[..] {
        [named, cache] => format!("{}={named}, then {cache}", golf_cuda::KERNELS),
        others => format!("{}; `{}` would name another folder", others.join(", "), golf_cuda::KERNELS),
    };
    text.push_str(&format!("CUDA kernels compiled: {} (in {folders})\n", made.join(", ")));
    text.push_str(&format!("CUDA products in bf16 (cuBLASLt): {}\n", part(&report.cuda.cublaslt)));
    text.push_str(&format!("CUDA collectives (NCCL): {}\n", part(&report.cuda.nccl)));
    report.hints.iter().for_each(|hint| text.push_str(&format!("{hint}\n")));
    text
}

fn line(row: &Row) -> Vec<String> {
    let cells = match row {
        Row::Cpu(CpuRow { device, architecture, threads, instructions }) => [
            device.clone(),
            (*architecture).to_owned(),
            format!("vectors: {instructions}"),
            String::new(),
            format!("{threads} threads"),
            "ok".to_owned(),
        ],
        Row::Cuda(GpuRow { device, name, compute, memory_bytes }) => [
            device.clone(),
            name.clone(),
            format!("CUDA, compute capability {compute}"),
            String::new(),
            format!("{:.1} GB", *memory_bytes as f64 / 1e9),
            "ok".to_owned(),
        ],
        Row::Wgpu(row) => [
            row.device.clone(),
            row.name.clone(),
            row.api.clone(),
            [row.driver.as_str(), row.driver_info.as_str()].join(" ").trim().to_owned(),
            row.device_type.clone(),
            match (&row.problem, row.software) {
                (Some(problem), _) => problem.clone(),
                (None, true) => "ok; software".to_owned(),
                (None, false) => "ok".to_owned(),
            },
        ],
    };
    cells.into()
}

fn adapter(row: &WgpuRow) -> String {
    let limits: Vec<Vec<String>> = row
        .limits
        .iter()
        .map(|limit| vec![limit.name.to_owned(), limit.needed.to_string(), limit.available.to_string()])
        .collect();
    let features: Vec<String> = row
        .features
        .iter()
        .map(|(name, has)| format!("{name}: {}", if *has { "yes" } else { "no" }))
        .collect();
    let kernels: Vec<Vec<String>> =
        row.kernels.iter().map(|(op, names)| vec![(*op).to_owned(), names.join(" ")]).collect();
    format!(
        "{}: {}\n\n{}\n\n{}\n\nkernels of {PRESET} at {WINDOW} tokens:\n\n{}\n\n",
        row.device,
        row.name,
        markdown(&["limit", "WebGPU's default, needed", "available"], &limits),
        features.join(", "),
        markdown(&["op", "kernels"], &kernels),
    )
}
