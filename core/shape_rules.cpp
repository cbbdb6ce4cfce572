#include <retrace/core/fail.h>
#include <retrace/core/shape_rules.h>

#include <algorithm>
#include <utility>

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

Permutation Permutation::inverse() const {
  Permutation result{.dims = {}, .rank = rank};
  for (int d = 0; d < rank; ++d) result.dims[static_cast<std::size_t>((*this)[d])] = d;
  return result;
}

Shape Permutation::applied_to(const Shape& x) const {
  std::array<std::int64_t, Shape::kMaxRank> extents{};
  for (int d = 0; d < rank; ++d) extents[static_cast<std::size_t>(d)] = x[(*this)[d]];
  return Shape(std::span(extents.data(), static_cast<std::size_t>(rank)));
}

Permutation permutation_of(std::string_view op, const Shape& x, std::span<const int> dims) {
  Permutation result{.dims = {}, .rank = x.rank()};
  std::array<bool, Shape::kMaxRank> seen{};
  bool once = static_cast<int>(dims.size()) == x.rank();
  for (std::size_t d = 0; once && d < dims.size(); ++d) {
    const int from = dims[d] < 0 ? dims[d] + x.rank() : dims[d];
    once = from >= 0 && from < x.rank() && !std::exchange(seen[static_cast<std::size_t>(from)], true);
    result.dims[d] = from;
  }
  if (!once)
    fail<ShapeError>(op, "dims must name each dimension of x {} once, got ({})", x, fmt::join(dims, ", "));
  return result;
}

}  // namespace retrace
