#pragma once
// Not in retrace.h: it needs libretrace_cuda.
#include <retrace/core/device.h>

#include <cstdint>
#include <functional>
#include <string>
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

/// Seconds that `work` takes: a GPU by events in its stream, the CPU by the clock.
double seconds_of(Device device, const std::function<void()>& work);

/// A GPU as its driver describes it.
struct Properties {
  std::string name{};             ///< `NVIDIA H100 80GB HBM3`
  std::int64_t memory_bytes = 0;  ///< of the whole GPU
  double gflops = 0;              ///< of f32, two for a multiply-add: all lanes at the highest clock
};
/// Throws DeviceError for the CPU.
Properties properties(Device device);

}  // namespace retrace::cuda
