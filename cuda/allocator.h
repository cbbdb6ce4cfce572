#pragma once
// Internal: memory on a GPU.
#include <retrace/core/allocator.h>

#include <memory>

namespace retrace::cuda {

/// An allocator of a GPU's memory.
std::unique_ptr<Allocator> make_allocator(Device device);

}  // namespace retrace::cuda
