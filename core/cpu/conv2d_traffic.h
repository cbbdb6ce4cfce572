#pragma once
// Internal: what convolutions do to have memory at work while they multiply.
#include <retrace/core/cpu/conv2d.h>
#include <retrace/core/cpu/simd.h>

namespace retrace::cpu {

/// Runs of memory that are fetched a little at a time while a tile makes its sums: results, or inputs of a
/// later strip into the second-level cache. Those come several times faster in the order of their addresses
/// than in the order in which tiles read them.
template <bool kToWrite>
class Lines {
 public:
  Lines() = default;
  /// `runs` of `length` elements each, which begin `stride` elements apart.
  template <class T>
  Lines(const T* from, std::int64_t runs, std::int64_t length, std::int64_t stride)
      : at_(reinterpret_cast<const char*>(from)), runs_(runs) {
    if (length == stride) {  // one long run
      length *= runs;
      stride *= runs;
      runs_ = 1;
    }
    length_ = length * static_cast<std::int64_t>(sizeof(T));
    skip_ = (stride - length) * static_cast<std::int64_t>(sizeof(T));
    end_ = at_ + length_;
  }

  bool done() const { return runs_ == 0; }

  /// Fetches two cache lines.
  [[gnu::always_inline]] void step() {
    constexpr std::int64_t kLine = 64;
    if (done()) return;
    __builtin_prefetch(at_, kToWrite, kToWrite ? 3 : 2);
    __builtin_prefetch(at_ + kLine, kToWrite, kToWrite ? 3 : 2);
    at_ += 2 * kLine;
    if (at_ < end_) return;
    --runs_;
    at_ = end_ + skip_;
    end_ = at_ + length_;
  }

 private:
  const char* at_ = nullptr;
  const char* end_ = nullptr;
  std::int64_t runs_ = 0;
  std::int64_t length_ = 0;
  std::int64_t skip_ = 0;
};

/// What x and y may have together such that results may still be in a cache when they are read.
inline constexpr std::int64_t kCachedBytes = std::int64_t{8} << 20;

/// Whether stores past the caches are fast: AMD's are; Intel's hold the buffers that fetches need
/// (docs/design/convolution.md). Tests set it.
inline bool fast_past_caches = [] {
#if defined(__x86_64__)
  __builtin_cpu_init();
  return __builtin_cpu_is("amd") != 0;
#else
  return false;
#endif
}();

/// Whether rows of y are written past the caches as whole vectors: not if they might stay there, or are there
/// already.
template <class T>
bool streams(const Tensor& x, const Tensor& y, const kernel::Residual& residual = {}) {
  const std::int64_t elements = x.numel() + y.numel();
  const bool in_place = residual.value.defined() && residual.value.data<T>() == y.data<T>();
  return fast_past_caches && !in_place && elements * static_cast<std::int64_t>(sizeof(T)) > kCachedBytes &&
         y.shape()[3] % kLanes<T> == 0 && reinterpret_cast<std::uintptr_t>(y.data<T>()) % kVectorBytes == 0;
}

}  // namespace retrace::cpu
