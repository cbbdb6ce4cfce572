#pragma once
#include <retrace/core/shape.h>

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace retrace {

/// A number for the height and one for the width of an image; `3` stands for `{3, 3}`.
struct Size2d {
  std::int64_t h;  ///< of the height
  std::int64_t w;  ///< of the width

  /// One number for both.
  constexpr Size2d(std::int64_t both) : h(both), w(both) {}  // NOLINT: implicit by intent
  /// The height's first, as in [H, W].
  constexpr Size2d(std::int64_t height, std::int64_t width) : h(height), w(width) {}
  /// Both numbers are equal.
  constexpr bool operator==(const Size2d&) const = default;
};

/// How `matmul` reads its factors.
struct MatmulOptions {
  bool transpose_a = false;  ///< a: [..., K, M] instead of [..., M, K]
  bool transpose_b = false;  ///< b: [..., N, K] instead of [..., K, N]
};

/// How a convolution is computed. Which algorithm `automatic` takes depends on shapes and dtype alone.
enum class Conv2dAlgorithm {
  automatic,  ///< the fastest; for many 3 x 3 filters in f32 one that rounds a little more
  direct,     ///< sums of products, each rounded once
};

/// Whether something is added or subtracted.
enum class Sign : std::int8_t {
  plus = 1,   ///< added
  minus = -1  ///< subtracted
};

/// How a filter moves over an image.
struct Conv2dOptions {
  Size2d stride = 1;        ///< pixels from one output to the next
  Size2d padding = 0;       ///< zeros on each side
  Size2d dilation = 1;      ///< pixels from one element of the filter to the next
  std::int64_t groups = 1;  ///< parts of the channels, each of which sees itself alone
  Conv2dAlgorithm algorithm = Conv2dAlgorithm::automatic;  ///< how it is computed
};

/// How a window moves over an image.
struct Pool2dOptions {
  Size2d kernel = 2;                  ///< the window's extent
  std::optional<Size2d> stride = {};  ///< by default the kernel
  Size2d padding = 0;                 ///< on each side, at most half of the kernel
};

/// The shape of x op y: extents are equal or one of them is 1, aligned at the last dimension. Throws
/// ShapeError.
Shape broadcast_shape(std::string_view op, const Shape& x, const Shape& y);

/// a: [..., M, K], b: [..., K, N] -> [..., M, N], where the leading dimensions broadcast. A vector is a row
/// as a and a column as b, never transposed, and its extent of 1 is left out of the result: [K], [K] -> [].
/// Throws ShapeError.
Shape matmul_shape(const Shape& a, const Shape& b, const MatmulOptions& options = {});

/// x: [N, C, H, W], w: [O, C / groups, h, w] -> [N, O, H', W'] with
/// H' = floor((H + 2 padding - dilation (h - 1) - 1) / stride) + 1.
/// Throws ArgumentError for options out of range, ShapeError for shapes that do not fit.
Shape conv2d_shape(const Shape& x, const Shape& w, const Conv2dOptions& options = {});

/// x: [N, C, H, W] -> [N, C, H', W'] with H' = floor((H + 2 padding - kernel) / stride) + 1.
/// Throws ArgumentError for options out of range, ShapeError for shapes that do not fit. `op` names the
/// caller.
Shape pool2d_shape(std::string_view op, const Shape& x, const Pool2dOptions& options = {});

/// x: [N, C, H, W] -> [N, C, out.h, out.w]. Throws ArgumentError for an extent below 1, ShapeError for
/// another rank.
Shape adaptive_pool2d_shape(std::string_view op, const Shape& x, Size2d out);

/// indices: [...], weight: [V, D] -> [..., D]. Throws ShapeError.
Shape embedding_shape(const Shape& indices, const Shape& weight);

/// `dim` in [0, rank); a negative one counts from the end. A scalar counts as one dimension: 0 or -1. Throws
/// ShapeError out of range.
int dimension_of(std::string_view op, const Shape& x, int dim);

/// x's elements under `extents`, one of which may be -1: it is what the others leave. Throws ShapeError
/// unless the number of elements stays the same.
Shape reshaped_shape(std::string_view op, const Shape& x, std::span<const std::int64_t> extents);

/// An order of dimensions: dimension d of the result is dimension dims[d] of x. Trivially copyable.
struct Permutation {
  std::array<int, Shape::kMaxRank> dims{};  ///< those below `rank` count
  int rank = 0;                             ///< of x and of the result

  /// The dimension of x that becomes dimension d.
  int operator[](int d) const { return dims[static_cast<std::size_t>(d)]; }
  /// The permutation that undoes this one.
  Permutation inverse() const;
  /// The shape of the result for x of shape `x`.
  Shape applied_to(const Shape& x) const;
};

/// `dims` (negative ones count from the end) as a permutation of x's dimensions. Throws ShapeError unless
/// each stands there once.
Permutation permutation_of(std::string_view op, const Shape& x, std::span<const int> dims);

/// `shape` with extents of 1 in front, so that it has that rank.
Shape aligned_shape(const Shape& shape, int rank);

/// The shape of a reduction's result, with the reduced dimensions at extent 1 and as the caller wants it.
struct ReducedShape {
  Shape kept{};    ///< with the reduced dimensions, at extent 1
  Shape result{};  ///< as the caller wants it
};

/// Throws ShapeError unless `dims` names at least one dimension of x, and each once. A scalar has one to
/// name: 0 or -1.
ReducedShape reduced_shape(std::string_view op, const Shape& x, std::span<const int> dims, bool keepdim);

/// x with the dimensions from start_dim to end_dim made one; of a scalar, [1]. Throws ShapeError.
Shape flattened_shape(const Shape& x, int start_dim, int end_dim = -1);

/// x[.., begin:end:step, ..] in dimension `dim`, which is not negative, and the result's shape.
struct SliceRule {
  Shape shape{};           ///< of the result
  int dim = 0;             ///< the one that is cut
  std::int64_t begin = 0;  ///< the first index that is taken
  std::int64_t step = 1;   ///< from one index to the next
};

/// Throws ShapeError unless 0 <= begin < end <= extent, ArgumentError unless step is at least 1.
SliceRule slice_rule(std::string_view op, const Shape& x, int dim, std::int64_t begin, std::int64_t end,
                     std::int64_t step);

/// Throws ShapeError unless the sizes are at least 1 and add up to x's extent.
void check_split(const Shape& x, std::span<const std::int64_t> sizes, int dim);

/// Throws ShapeError unless there is a shape, and all agree but in dimension `dim`.
Shape concatenated_shape(std::span<const Shape> shapes, int dim);

}  // namespace retrace
