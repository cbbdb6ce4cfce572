#pragma once
#include <retrace/core/device.h>

#include <string_view>

namespace retrace::cuda {

/// The GPU with that number. The first call installs the kernels for GPUs. Throws DeviceError, which says
/// what is missing: a build with CUDA, a driver, or such a GPU.
Device device(int index = 0);

/// The device with that name: `cpu`, `cuda` (the first GPU), `cuda:1`. Throws ArgumentError for other names,
/// and what `device` throws.
Device device_from_name(std::string_view name);

/// Waits until a GPU has done all that it was asked to; the CPU always has.
void synchronize(Device device);

}  // namespace retrace::cuda
