#include <retrace/core/fail.h>
#include <retrace/core/shape_rules.h>

#include <algorithm>

namespace retrace {

Shape broadcast_shape(std::string_view op, const Shape& x, const Shape& y) {
  std::array<std::int64_t, Shape::kMaxRank> extents{};
  const int rank = std::max(x.rank(), y.rank());
  for (int d = 1; d <= rank; ++d) {
    const std::int64_t a = d <= x.rank() ? x[-d] : 1;
    const std::int64_t b = d <= y.rank() ? y[-d] : 1;
    if (a != b && a != 1 && b != 1)
      fail<ShapeError>(
          op, "the extents of x and y must be equal or 1, aligned at the last dimension, got {} and {}", x,
          y);
    extents[static_cast<std::size_t>(rank - d)] = std::max(a, b);
  }
  return Shape(std::span(extents.data(), static_cast<std::size_t>(rank)));
}

}  // namespace retrace
