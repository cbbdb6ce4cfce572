// What a build without CUDA says.
#include "../support/throws.h"

#include <retrace/core/error.h>
#include <retrace/cuda/device.h>

using namespace retrace;
using test::check_throws;

TEST_CASE("a build without CUDA says so", "[cuda]") {
  CHECK(cuda::device_from_name("cpu") == Device::cpu());
  cuda::synchronize(Device::cpu());
  const std::string text =
      "[cuda] retrace must have been built with CUDA (meson setup -Dcuda=enabled), got a build without";
  check_throws<DeviceError>([] { cuda::device(0); }, text);
  check_throws<DeviceError>([] { cuda::properties(Device::cpu()); }, text);
  bool called = false;
  CHECK(cuda::seconds_of(Device::cpu(), [&] { called = true; }) >= 0);
  CHECK(called);
}
