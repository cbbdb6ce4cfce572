#pragma once
// Internal.
#include <retrace/core/allocator.h>

namespace retrace::cuda {

/// The allocator of a GPU's memory.
Allocator& device_allocator(Device device);

}  // namespace retrace::cuda
