#include "../gpu.h"
#include "../../support/skip.h"

#include <retrace/core/error.h>
#include <retrace/cuda/device.h>

namespace retrace::gpu_host {

void set_order(Order) {}
bool guards_hold() { return true; }

}  // namespace retrace::gpu_host

namespace retrace::test {

std::optional<Device> gpu_or_skip() {
  try {
    return cuda::device(0);
  } catch (const DeviceError& error) {
    if (!skip_unless(false, error.what())) throw;
    return std::nullopt;
  }
}

const std::vector<gpu_host::Order>& thread_orders() {
  static const std::vector<gpu_host::Order> orders{gpu_host::Order::forward};
  return orders;
}

}  // namespace retrace::test
