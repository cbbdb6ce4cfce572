#pragma once
#include <retrace/core/device.h>
#include <retrace/core/dtype.h>

#include <functional>
#include <string>
#include <vector>

namespace retrace::benchmarks {

/// What holds a kernel up, and so what its speed is compared with.
enum class Limit {
  arithmetic,  ///< the multiply-adds of all threads
  memory       ///< a copy of as many bytes
};

/// One call of a kernel, with its tensors in place.
struct Work {
  std::function<void()> run;
  double flops = 0;  ///< additions, multiplications and comparisons that the formula takes
  double bytes =
      0;  ///< the least that must be read and written: each pass over a tensor that can't be left out
  Limit limit = Limit::memory;
};

struct KernelCase {
  std::string name;
  std::function<Work()> prepare;  ///< allocates
};

/// What a case's tensors are.
struct Setting {
  Device device = Device::cpu();
  DType dtype = DType::f32;
};

/// Those of kernels that take that element type, of the shapes of CIFAR networks with batches of 100.
std::vector<KernelCase> kernel_cases(const Setting& setting);

}  // namespace retrace::benchmarks
