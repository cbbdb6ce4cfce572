// What stands for the backend in a build without CUDA.
#include <retrace/core/fail.h>
#include <retrace/cuda/device.h>

namespace retrace::cuda {

Device device(int) {
  fail<DeviceError>(
      "cuda", "retrace must have been built with CUDA (meson setup -Dcuda=enabled), got a build without");
}

void synchronize(Device) {}

}  // namespace retrace::cuda
