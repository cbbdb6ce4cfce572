#pragma once
#include <retrace/core/shape.h>

#include <array>
#include <span>
#include <string_view>

namespace retrace {

/// The shape of x op y: extents are equal or one of them is 1, aligned at the last dimension. Throws
/// ShapeError.
Shape broadcast_shape(std::string_view op, const Shape& x, const Shape& y);

/// An order of dimensions: dimension d of the result is dimension dims[d] of x. Trivially copyable.
struct Permutation {
  std::array<int, Shape::kMaxRank> dims{};
  int rank = 0;

  int operator[](int d) const { return dims[static_cast<std::size_t>(d)]; }
  /// The permutation that undoes this one.
  Permutation inverse() const;
  /// The shape of the result for x of shape `x`.
  Shape applied_to(const Shape& x) const;
};

/// `dims` (negative ones count from the end) as a permutation of x's dimensions. Throws ShapeError unless
/// each stands there once.
Permutation permutation_of(std::string_view op, const Shape& x, std::span<const int> dims);

}  // namespace retrace
