//! Every shader, without a GPU: parsed and validated by naga without any optional capability, its bindings as its
//! kernel declares them, its workgroup within WebGPU's default limits.

use golf_wgpu::kernels::all;
use golf_wgpu::{Kernel, MAX_STORAGE, PARAM_WORDS};
use naga::valid::{Capabilities, ModuleInfo, ValidationFlags, Validator};
use naga::{AddressSpace, Module, StorageAccess};
use std::collections::BTreeSet;

const MAX_INVOCATIONS: u32 = 256;
const MAX_WORKGROUP_BYTES: u32 = 16_384;

fn parse(kernel: &Kernel) -> (Module, ModuleInfo) {
    let source = kernel.wgsl();
    let module = naga::front::wgsl::parse_str(&source)
        .unwrap_or_else(|error| panic!("{}: {}", kernel.name, error.emit_to_string(&source)));
    let info = Validator::new(ValidationFlags::all(), Capabilities::empty())
        .validate(&module)
        .unwrap_or_else(|error| panic!("{}: {}", kernel.name, error.emit_to_string(&source)));
    (module, info)
}

/// Index of the kernel's entry point.
fn entry(kernel: &Kernel, module: &Module) -> usize {
    let found = module.entry_points.iter().position(|entry| entry.name == kernel.entry);
    found.unwrap_or_else(|| panic!("{}: no entry point `{}`", kernel.name, kernel.entry))
}

#[test]
fn names_are_unique() {
    let names: BTreeSet<_> = all().iter().map(|kernel| kernel.name).collect();
    assert_eq!(names.len(), all().len());
}

#[test]
fn every_shader_is_valid_and_binds_what_its_kernel_declares() {
    for kernel in all() {
        let (module, info) = parse(kernel);
        let uses = info.get_entry_point(entry(kernel, &module));
        let mut storage = String::new();
        for (handle, global) in module.global_variables.iter() {
            let Some(binding) = global.binding.filter(|_| !uses[handle].is_empty()) else { continue };
            assert_eq!(binding.group, 0, "{}", kernel.name);
            match global.space {
                AddressSpace::Uniform => {
                    assert_eq!(binding.binding, 0, "{}", kernel.name);
                    let bytes = module.types[global.ty].inner.size(module.to_ctx());
                    assert!(
                        bytes as usize <= 4 * PARAM_WORDS,
                        "{}: {bytes} bytes of parameters",
                        kernel.name
                    );
                }
                AddressSpace::Storage { access } => {
                    let index = binding.binding as usize - 1;
                    if storage.len() <= index {
                        storage.extend(std::iter::repeat_n('-', index + 1 - storage.len()));
                    }
                    let letter = if access.contains(StorageAccess::STORE) { "w" } else { "r" };
                    assert_eq!(&storage[index..=index], "-", "{}: binding {index} twice", kernel.name);
                    storage.replace_range(index..=index, letter);
                }
                other => panic!("{}: a binding in {other:?}", kernel.name),
            }
        }
        assert_eq!(storage, kernel.access, "{}", kernel.name);
        assert!(storage.len() <= MAX_STORAGE, "{}", kernel.name);
    }
}

#[test]
fn every_workgroup_is_within_the_default_limits() {
    for kernel in all() {
        let (module, info) = parse(kernel);
        let index = entry(kernel, &module);
        let [x, y, z] = module.entry_points[index].workgroup_size;
        assert!(x * y * z <= MAX_INVOCATIONS, "{}: {x}x{y}x{z} invocations", kernel.name);
        let uses = info.get_entry_point(index);
        let bytes: u32 = module
            .global_variables
            .iter()
            .filter(|(handle, global)| global.space == AddressSpace::WorkGroup && !uses[*handle].is_empty())
            .map(|(_, global)| module.types[global.ty].inner.size(module.to_ctx()))
            .sum();
        assert!(bytes <= MAX_WORKGROUP_BYTES, "{}: {bytes} bytes of workgroup memory", kernel.name);
    }
}
