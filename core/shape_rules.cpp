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

Shape aligned_shape(const Shape& shape, int rank) {
  std::array<std::int64_t, Shape::kMaxRank> extents;
  extents.fill(1);
  std::copy(shape.begin(), shape.end(), extents.begin() + (rank - shape.rank()));
  return Shape(std::span(extents.data(), static_cast<std::size_t>(rank)));
}

ReducedShape reduced_shape(std::string_view op, const Shape& x, std::span<const int> dims, bool keepdim) {
  std::array<bool, Shape::kMaxRank> reduced{};
  bool once = !dims.empty();
  for (const int dim : dims) {
    const int d = dim < 0 ? dim + x.rank() : dim;
    once = once && d >= 0 && d < x.rank() && !std::exchange(reduced[static_cast<std::size_t>(d)], true);
  }
  if (!once)
    fail<ShapeError>(op, "dims must name at least one dimension of x {}, and each once, got ({})", x,
                     fmt::join(dims, ", "));
  ReducedShape shape{.kept = x, .result = x};
  for (int d = x.rank() - 1; d >= 0; --d) {
    if (!reduced[static_cast<std::size_t>(d)]) continue;
    shape.kept = shape.kept.with(d, 1);
    shape.result = shape.result.without(d);
  }
  if (keepdim) shape.result = shape.kept;
  return shape;
}

Shape flattened_shape(const Shape& x, int start_dim) {
  const int start = x.dimension(start_dim);
  Shape shape = x.with(start, x[start] * x.numel_after(start));
  while (shape.rank() > start + 1) shape = shape.without(-1);
  return shape;
}

SliceRule slice_rule(std::string_view op, const Shape& x, int dim, std::int64_t begin, std::int64_t end,
                     std::int64_t step) {
  const int d = x.dimension(dim);
  if (step < 1) fail<ArgumentError>(op, "the step must be at least 1, got {}", step);
  if (begin < 0 || begin >= end || end > x[d])
    fail<ShapeError>(op, "a part of dimension {} of x {} must satisfy 0 <= begin < end <= {}, got [{},{})", d,
                     x, x[d], begin, end);
  return {.shape = x.with(d, (end - begin + step - 1) / step), .dim = d, .begin = begin, .step = step};
}

void check_split(const Shape& x, std::span<const std::int64_t> sizes, int dim) {
  std::int64_t sum = 0;
  bool positive = true;
  for (const std::int64_t size : sizes) {
    positive = positive && size >= 1 && size <= x[dim];
    sum += positive ? size : 0;
  }
  if (!positive || sum != x[dim])
    fail<ShapeError>("split", "the sizes must be at least 1 and add up to dimension {} of x {}, got ({})",
                     dim, x, fmt::join(sizes, ", "));
}

Shape concatenated_shape(std::span<const Shape> shapes, int dim) {
  if (shapes.empty()) fail<ShapeError>("concatenate", "there must be at least one x, got none");
  const Shape& first = shapes.front();
  const int d = first.dimension(dim);
  std::int64_t extent = 0;
  for (const Shape& shape : shapes) {
    if (shape.rank() != first.rank() || !(shape.with(d, first[d]) == first))
      fail<ShapeError>("concatenate", "the xs must agree but in dimension {}, got {}", d,
                       fmt::join(shapes, ", "));
    extent += shape[d];
  }
  return first.with(d, extent);
}

}  // namespace retrace
