#include <retrace/core/fail.h>
#include <retrace/core/shape_rules.h>

#include <algorithm>
#include <limits>
#include <utility>
#include <vector>

namespace retrace {

namespace {

void check_at_least(std::string_view op, std::string_view what, Size2d got, std::int64_t least) {
  if (got.h < least || got.w < least)
    fail<ArgumentError>(op, "{} must be at least {}, got ({},{})", what, least, got.h, got.w);
}

/// Extents at both ends of a dimension may not overflow when they are added.
constexpr std::int64_t kMaxExtent = std::numeric_limits<std::int32_t>::max();

void check_at_most(std::string_view op, std::string_view what, Size2d got, std::int64_t most) {
  if (got.h > most || got.w > most)
    fail<ArgumentError>(op, "{} must be at most {}, got ({},{})", what, most, got.h, got.w);
}

/// Positions of a window that covers `window` elements.
std::int64_t window_count(std::int64_t extent, std::int64_t padding, std::int64_t window,
                          std::int64_t stride) {
  return (extent + 2 * padding - window) / stride + 1;
}

/// [N, C, plane.h, plane.w]
Shape image_shape(std::string_view op, std::int64_t n, std::int64_t c, Size2d plane) {
  return Shape(std::array{n, c, plane.h, plane.w}, op);
}

/// The leading dimensions of a product, then [rows, columns].
Shape product_shape(const Shape& a, const Shape& b, std::int64_t rows, std::int64_t columns) {
  const int rank = std::max(a.rank(), b.rank());
  std::array<std::int64_t, Shape::kMaxRank> extents{};
  for (int d = 3; d <= rank; ++d) {
    const std::int64_t left = d <= a.rank() ? a[-d] : 1;
    const std::int64_t right = d <= b.rank() ? b[-d] : 1;
    if (left != right && left != 1 && right != 1)
      fail<ShapeError>("matmul", "the leading extents of a and b must be equal or 1, got {} and {}", a, b);
    extents[static_cast<std::size_t>(rank - d)] = std::max(left, right);
  }
  extents[static_cast<std::size_t>(rank - 2)] = rows;
  extents[static_cast<std::size_t>(rank - 1)] = columns;
  return Shape(std::span(extents.data(), static_cast<std::size_t>(rank)), "matmul");
}

/// Throws ShapeError for a scalar, which has no dimension that parts could be taken of.
void check_divisible(std::string_view op, const Shape& x) {
  if (x.rank() == 0) fail<ShapeError>(op, "x must have at least 1 dimension, got {}", x);
}

}  // namespace

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
  return Shape(std::span(extents.data(), static_cast<std::size_t>(rank)), op);
}

Shape matmul_shape(const Shape& a, const Shape& b, const MatmulOptions& options) {
  if (a.rank() < 1 || b.rank() < 1)
    fail<ShapeError>("matmul", "a and b must have at least 1 dimension, got {} and {}", a, b);
  const Shape left = a.rank() == 1 ? Shape{1, a[0]} : a;
  const Shape right = b.rank() == 1 ? Shape{b[0], 1} : b;
  const bool transpose_a = options.transpose_a && a.rank() > 1;
  const bool transpose_b = options.transpose_b && b.rank() > 1;
  const std::int64_t a_depth = left[transpose_a ? -2 : -1];
  const std::int64_t b_depth = right[transpose_b ? -1 : -2];
  if (a_depth != b_depth)
    fail<ShapeError>("matmul", "a {}{} has rows of {} elements but b {}{} has columns of {}", a,
                     transpose_a ? " transposed" : "", a_depth, b, transpose_b ? " transposed" : "", b_depth);
  Shape shape = product_shape(left, right, left[transpose_a ? -1 : -2], right[transpose_b ? -2 : -1]);
  if (a.rank() == 1) shape = shape.without(-2);
  if (b.rank() == 1) shape = shape.without(-1);
  return shape;
}

Shape conv2d_shape(const Shape& x, const Shape& w, const Conv2dOptions& options) {
  check_at_least("conv2d", "stride", options.stride, 1);
  check_at_least("conv2d", "padding", options.padding, 0);
  check_at_least("conv2d", "dilation", options.dilation, 1);
  check_at_most("conv2d", "padding", options.padding, kMaxExtent);
  check_at_most("conv2d", "dilation", options.dilation, kMaxExtent);
  if (options.groups < 1) fail<ArgumentError>("conv2d", "groups must be at least 1, got {}", options.groups);
  if (x.rank() != 4 || w.rank() != 4)
    fail<ShapeError>("conv2d", "x must be [N,C,H,W] and w [O,C/groups,h,w], got {} and {}", x, w);
  if (x[1] % options.groups != 0 || w[0] % options.groups != 0)
    fail<ShapeError>("conv2d", "{} groups must divide the {} channels of x {} and the {} filters of w {}",
                     options.groups, x[1], x, w[0], w);
  if (x[1] / options.groups != w[1]) {
    if (options.groups == 1)
      fail<ShapeError>("conv2d", "x has {} channels but w {} expects {}", x[1], w, w[1]);
    fail<ShapeError>("conv2d", "x has {} channels in each of {} groups but w {} expects {}",
                     x[1] / options.groups, options.groups, w, w[1]);
  }
  const Size2d window(options.dilation.h * (w[2] - 1) + 1, options.dilation.w * (w[3] - 1) + 1);
  if (window.h > x[2] + 2 * options.padding.h || window.w > x[3] + 2 * options.padding.w)
    fail<ShapeError>("conv2d", "the filter must fit into the padded image, got ({},{}) for ({},{})", window.h,
                     window.w, x[2] + 2 * options.padding.h, x[3] + 2 * options.padding.w);
  return image_shape("conv2d", x[0], w[0],
                     {window_count(x[2], options.padding.h, window.h, options.stride.h),
                      window_count(x[3], options.padding.w, window.w, options.stride.w)});
}

Shape pool2d_shape(std::string_view op, const Shape& x, const Pool2dOptions& options) {
  const Size2d stride = options.stride.value_or(options.kernel);
  check_at_least(op, "kernel", options.kernel, 1);
  check_at_most(op, "kernel", options.kernel, kMaxExtent);
  check_at_least(op, "stride", stride, 1);
  check_at_least(op, "padding", options.padding, 0);
  if (options.padding.h > options.kernel.h / 2 || options.padding.w > options.kernel.w / 2)
    fail<ArgumentError>(op, "padding must be at most half of the kernel ({},{}), got ({},{})",
                        options.kernel.h, options.kernel.w, options.padding.h, options.padding.w);
  if (x.rank() != 4) fail<ShapeError>(op, "x must be [N,C,H,W], got {}", x);
  if (x[2] * x[3] > kMaxExtent)
    fail<ShapeError>(op, "the planes of x must have fewer than 2^31 elements, got {}", x);
  if (options.kernel.h > x[2] + 2 * options.padding.h || options.kernel.w > x[3] + 2 * options.padding.w)
    fail<ShapeError>(op, "the kernel ({},{}) must fit into the padded image ({},{})", options.kernel.h,
                     options.kernel.w, x[2] + 2 * options.padding.h, x[3] + 2 * options.padding.w);
  return image_shape(op, x[0], x[1],
                     {window_count(x[2], options.padding.h, options.kernel.h, stride.h),
                      window_count(x[3], options.padding.w, options.kernel.w, stride.w)});
}

Shape adaptive_pool2d_shape(std::string_view op, const Shape& x, Size2d out) {
  check_at_least(op, "the output", out, 1);
  if (x.rank() != 4) fail<ShapeError>(op, "x must be [N,C,H,W], got {}", x);
  return image_shape(op, x[0], x[1], out);
}

Shape embedding_shape(const Shape& indices, const Shape& weight) {
  if (weight.rank() != 2) fail<ShapeError>("embedding", "weight must be [V,D], got {}", weight);
  if (indices.rank() == Shape::kMaxRank)
    fail<ShapeError>("embedding", "indices must have fewer than {} dimensions, got {}", Shape::kMaxRank,
                     indices);
  std::array<std::int64_t, Shape::kMaxRank> extents{};
  *std::copy(indices.begin(), indices.end(), extents.begin()) = weight[1];
  return Shape(std::span(extents.data(), static_cast<std::size_t>(indices.rank()) + 1), "embedding");
}

int dimension_of(std::string_view op, const Shape& x, int dim) {
  const int rank = std::max(x.rank(), 1);
  if (dim < -rank || dim >= rank)
    fail<ShapeError>(op, "a dimension of x {} must be in [{},{}), got {}", x, -rank, rank, dim);
  return dim < 0 ? dim + rank : dim;
}

Shape reshaped_shape(std::string_view op, const Shape& x, std::span<const std::int64_t> extents) {
  std::vector<std::int64_t> all(extents.begin(), extents.end());
  const auto open = std::ranges::find(all, -1);
  if (open != all.end()) {
    if (std::find(open + 1, all.end(), -1) != all.end())
      fail<ShapeError>(op, "at most one extent may be -1, got [{}]", fmt::join(extents, ","));
    *open = 1;
    *open = std::max<std::int64_t>(x.numel() / Shape(all, op).numel(), 1);
  }
  const Shape shape(all, op);
  if (shape.numel() != x.numel())
    fail<ShapeError>(op, "{} elements must stay as many, got [{}] for {}", x.numel(), fmt::join(extents, ","),
                     x);
  return shape;
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
  const int rank = std::max(x.rank(), 1);
  for (const int dim : dims) {
    const int d = dim < 0 ? dim + rank : dim;
    once = once && d >= 0 && d < rank && !std::exchange(reduced[static_cast<std::size_t>(d)], true);
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

Shape flattened_shape(const Shape& x, int start_dim, int end_dim) {
  const int start = dimension_of("flatten", x, start_dim);
  const int end = dimension_of("flatten", x, end_dim);
  if (start > end)
    fail<ShapeError>("flatten", "start_dim must not come after end_dim in x {}, got {} and {}", x, start_dim,
                     end_dim);
  if (x.rank() == 0) return {1};
  Shape shape = x;
  for (int d = end; d > start; --d) shape = shape.without(d).with(d - 1, shape[d - 1] * shape[d]);
  return shape;
}

SliceRule slice_rule(std::string_view op, const Shape& x, int dim, std::int64_t begin, std::int64_t end,
                     std::int64_t step) {
  check_divisible(op, x);
  const int d = dimension_of(op, x, dim);
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
  check_divisible("concatenate", first);
  const int d = dimension_of("concatenate", first, dim);
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
