//! What NVIDIA says that its GPUs can do at best: the denominator of a run's utilization.
//!
//! Products of dense matrices in bf16 with sums in f32, on tensor cores, at the boost clock. The larger figures that data sheets
//! print beside them are for matrices of which half is zeros. Source: NVIDIA's data sheets of each GPU, and for the RTX 4090
//! the paper on the Ada architecture.
//!
//! Not here: other precisions, and what a device reaches (`golf plan trace`).

/// Names without `NVIDIA `, and TFLOP/s. Whole names: a slice of a GPU (`… MIG 1g.10gb`) and a sibling (`… NVL`) have others.
const PEAKS: [(&str, f64); 10] = [
    ("H100 80GB HBM3", 989.4),
    ("H100 PCIe", 756.0),
    ("H200", 989.4),
    ("B200", 2250.0),
    ("A100-SXM4-40GB", 312.0),
    ("A100-SXM4-80GB", 312.0),
    ("A100-PCIE-40GB", 312.0),
    ("A100 80GB PCIe", 312.0),
    ("L40S", 362.0),
    ("GeForce RTX 4090", 165.2),
];

/// Dense bf16 peak in TFLOP/s of the GPU that the CUDA driver calls `device_name`, if it is known here.
pub fn peak_tflops(device_name: &str) -> Option<f64> {
    // Older drivers leave the maker out.
    let name = device_name.strip_prefix("NVIDIA ").unwrap_or(device_name);
    PEAKS.iter().find(|(known, _)| *known == name).map(|(_, peak)| *peak)
}

/// The device in a backend's name: `NVIDIA H200` of `cuda:0 (NVIDIA H200)`, `None` where it is no CUDA device.
pub fn cuda_device(backend: &str) -> Option<&str> {
    let (index, name) = backend.strip_prefix("cuda:")?.strip_suffix(')')?.split_once(" (")?;
    index.bytes().all(|b| b.is_ascii_digit()).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peak_is_that_of_the_whole_name() {
        for (name, peak) in [
            ("NVIDIA H100 80GB HBM3", Some(989.4)),
            ("NVIDIA H100 PCIe", Some(756.0)),
            ("A100-SXM4-40GB", Some(312.0)),
            ("NVIDIA H100 80GB HBM3 MIG 1g.10gb", None),
            ("NVIDIA H100 NVL", None),
            ("", None),
        ] {
            assert_eq!(peak_tflops(name), peak, "{name}");
        }
    }

    #[test]
    fn only_a_cuda_backend_names_its_device() {
        assert_eq!(cuda_device("cuda:3 (NVIDIA H200)"), Some("NVIDIA H200"));
        for other in ["cpu", "wgpu (NVIDIA H200)", "cuda:3", "cuda: (x)x"] {
            assert_eq!(cuda_device(other), None, "{other}");
        }
    }
}
