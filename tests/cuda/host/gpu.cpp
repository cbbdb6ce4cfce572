#include "../gpu.h"

#include <retrace/cuda/device.h>

namespace retrace::test {

std::optional<Device> gpu_or_skip() { return cuda::device(0); }

const std::vector<gpu_host::Order>& thread_orders() {
  static const std::vector<gpu_host::Order> orders{gpu_host::Order::forward, gpu_host::Order::reversed};
  return orders;
}

}  // namespace retrace::test
