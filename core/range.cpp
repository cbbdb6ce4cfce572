#include <retrace/core/fail.h>
#include <retrace/core/range.h>

#include <cmath>
#include <type_traits>

namespace retrace {

namespace {

constexpr const char* kFinite = "finite";

template <class T>
bool is_infinite(T value) {
  if constexpr (std::is_floating_point_v<T>)
    return std::isinf(value);
  else
    return false;
}

}  // namespace

template <class T>
std::string Range<T>::text() const {
  const bool from_lowest = low == std::numeric_limits<T>::lowest();
  const bool to_largest = high == std::numeric_limits<T>::max();
  if (std::is_floating_point_v<T> && from_lowest && to_largest) return kFinite;
  if (to_largest && !from_lowest) return fmt::format("{} {}", low_included ? "at least" : "above", low);
  return fmt::format("in {}{},{}{}", low_included ? '[' : '(', low, high, high_included ? ']' : ')');
}

template <class T>
std::string Range<T>::complaint(T value) const {
  if (contains(value)) return "";
  return fmt::format("must be {}, got {}", is_infinite(value) ? kFinite : text(), value);
}

template <class T>
void Range<T>::check(std::string_view op, std::string_view name, T value) const {
  if (const std::string what = complaint(value); !what.empty()) fail<ArgumentError>(op, "{} {}", name, what);
}

template struct Range<double>;
template struct Range<std::int64_t>;
template struct Range<std::uint64_t>;

}  // namespace retrace
