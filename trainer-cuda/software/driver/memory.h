// Memory of the devices. Every allocation lies between guard words, and begins where no more than the promised alignment holds.

#pragma once

#include "api.h"

namespace software {

// Whether `bytes` from `at` on lie in one allocation of the device.
bool is_in_memory(int device, CUdeviceptr at, size_t bytes);

// An error, said aloud, if somebody wrote beside the allocation that holds `at`.
CUresult check_guards(CUdeviceptr at, const char* culprit);

// The same of all allocations of a device.
CUresult check_all_guards(int device);

// Takes back all memory of a device.
void release_memory(int device);

}  // namespace software
