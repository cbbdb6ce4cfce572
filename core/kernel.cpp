#include <retrace/core/fail.h>
#include <retrace/core/kernel.h>

namespace retrace::detail {

void fail_two_devices(Device first, Device other) {
  fail<DeviceError>("kernel", "the tensors of one operation must be on one device, got {} and {}", first,
                    other);
}

void fail_no_kernel(Device device) {
  fail<NotImplementedError>("kernel", "the operation must be one that runs on {}, got {}", device,
                            current_op());
}

}  // namespace retrace::detail
