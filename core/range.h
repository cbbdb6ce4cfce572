#pragma once
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>

namespace retrace {

/// The values that an option may have: an interval of `double`, `std::int64_t` or `std::uint64_t`. It is
/// stated once, for the check, the error and the help text. It never contains NaN or an infinity.
/// ```cpp
/// constexpr RealRange kMomentum = RealRange::at_least(0).below(1);
/// kMomentum.check("sgd", "momentum", 1.5);  // [sgd] momentum must be in [0,1), got 1.5
/// ```
template <class T>
struct Range {
  T low = std::numeric_limits<T>::lowest();  ///< the lower bound
  T high = std::numeric_limits<T>::max();    ///< the upper bound
  bool low_included = true;                  ///< whether `low` is in the range
  bool high_included = true;                 ///< whether `high` is in the range

  /// All values from `low` on.
  static constexpr Range at_least(T low) { return {.low = low}; }
  /// All values greater than `low`.
  static constexpr Range above(T low) { return {.low = low, .low_included = false}; }
  /// This range without what is greater than `limit`.
  constexpr Range at_most(T limit) const { return {low, limit, low_included, true}; }
  /// This range without `limit` and what is greater.
  constexpr Range below(T limit) const { return {low, limit, low_included, false}; }

  /// Whether `value` is in the range.
  constexpr bool contains(T value) const {
    return (low_included ? value >= low : value > low) && (high_included ? value <= high : value < high);
  }
  /// The range in words: `at least 1`, `above 0`, `in [0,1)`, `finite`.
  std::string text() const;
  /// `must be at least 1, got 0`, or empty if `value` is in the range.
  std::string complaint(T value) const;
  /// Throws ArgumentError unless `value`, of the option `name`, is in the range.
  void check(std::string_view op, std::string_view name, T value) const;
};

using RealRange = Range<double>;         ///< The range of a real number.
using IntRange = Range<std::int64_t>;    ///< The range of an integer.
using SeedRange = Range<std::uint64_t>;  ///< The range of a seed.

}  // namespace retrace
