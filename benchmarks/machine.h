#pragma once
#include <retrace/core/tensor.h>

namespace retrace::benchmarks {

/// GFLOP/s of all threads together in a loop of multiplications and additions that touches nothing but
/// registers: the most that a kernel can reach. Takes some milliseconds. Of a GPU, what its driver says.
double multiply_add_gflops(Device device = Device::cpu());

/// How fast a device copies as many bytes as a kernel moves: the CPU with all threads in pieces of 64 KiB.
class CopySpeed {
 public:
  /// Half of `bytes` is read and half is written.
  explicit CopySpeed(double bytes, Device device = Device::cpu());
  /// GB/s, read and written bytes together, of one copy made now.
  double gbytes_per_s();

 private:
  Tensor from_, to_;
};

}  // namespace retrace::benchmarks
