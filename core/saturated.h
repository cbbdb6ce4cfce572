#pragma once
// Internal: not installed.
#include <cstdint>
#include <limits>

namespace retrace {

/// A number of things, from 0, whose sums and products stop at the largest 64-bit number in place of
/// overflowing: a formula of sizes from outside can be computed first and compared with a limit then.
class Saturated {
 public:
  // NOLINTNEXTLINE(google-explicit-constructor): numbers mix with it in formulas
  constexpr Saturated(std::int64_t value) : value_(value) {}

  constexpr std::int64_t value() const { return value_; }

  friend constexpr Saturated operator+(Saturated a, Saturated b) {
    std::int64_t sum = 0;
    return __builtin_add_overflow(a.value_, b.value_, &sum) ? kMax : sum;
  }
  friend constexpr Saturated operator*(Saturated a, Saturated b) {
    std::int64_t product = 0;
    return __builtin_mul_overflow(a.value_, b.value_, &product) ? kMax : product;
  }

 private:
  static constexpr std::int64_t kMax = std::numeric_limits<std::int64_t>::max();

  std::int64_t value_;
};

}  // namespace retrace
