#pragma once
#include <cstdint>
#include <vector>

namespace retrace::benchmarks {

/// GFLOP/s of all threads together in a loop of multiplications and additions that touches nothing but
/// registers: the most that a kernel can reach. Takes some milliseconds.
double multiply_add_gflops();

/// How fast this machine copies as many bytes as a kernel moves: all threads, pieces of 64 KiB.
class CopySpeed {
 public:
  /// Half of `bytes` is read and half is written.
  explicit CopySpeed(double bytes);
  /// GB/s, read and written bytes together, of one copy made now.
  double gbytes_per_s();

 private:
  std::vector<float> from_, to_;
};

/// Seconds from one moment to another one.
class Stopwatch {
 public:
  Stopwatch();
  double seconds() const;

 private:
  std::int64_t start_;
};

}  // namespace retrace::benchmarks
