// What stands for the backend in a build without CUDA.
#include <retrace/core/fail.h>
#include <retrace/cuda/device.h>
#include <retrace/cuda/install.h>

namespace retrace::cuda {

namespace {

[[noreturn]] void fail_without_cuda() {
  fail<DeviceError>(
      "cuda", "retrace must have been built with CUDA (meson setup -Dcuda=enabled), got a build without");
}

}  // namespace

Device device(int) { fail_without_cuda(); }

void synchronize(Device) {}

double seconds_by_events(Device, const std::function<void()>&) { fail_without_cuda(); }

Properties properties(Device) { fail_without_cuda(); }

}  // namespace retrace::cuda
