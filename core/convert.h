#pragma once
// Internal: not installed.
#include <cmath>
#include <concepts>
#include <cstdint>
#include <limits>

namespace retrace {

/// `value` as a `To`. To integers: truncated, the nearest one out of range, 0 for NaN (a plain cast is
/// undefined there).
template <class To, class From>
constexpr To convert_to(From value) {
  if constexpr (std::integral<To> && !std::integral<From>) {
    const auto number = static_cast<double>(value);
    constexpr auto kLow = static_cast<double>(std::numeric_limits<To>::min());
    constexpr auto kHigh = static_cast<double>(std::numeric_limits<To>::max());  // rounded up for 64 bits
    if (!(number > kLow)) return number == number ? std::numeric_limits<To>::min() : To{0};
    return number >= kHigh ? std::numeric_limits<To>::max() : static_cast<To>(number);
  } else {
    return static_cast<To>(value);
  }
}

/// Whether a number without its fraction is a `To`.
template <std::integral To>
bool fits(double value) {
  constexpr auto kLow = static_cast<double>(std::numeric_limits<To>::min());
  constexpr double kEnd =
      2.0 * static_cast<double>(std::uint64_t{1} << (std::numeric_limits<To>::digits - 1));
  return std::trunc(value) >= kLow && std::trunc(value) < kEnd;
}

}  // namespace retrace
