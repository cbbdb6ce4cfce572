#pragma once
// Internal: not installed.
#include <retrace/core/shape.h>

#include <array>
#include <cstdint>

namespace retrace::detail {

/// Steps in elements for walking a contiguous tensor of shape `x` as if it had the shape `out`: 0 in the
/// dimensions that are broadcast.
inline std::array<std::int64_t, Shape::kMaxRank> broadcast_strides(const Shape& x, const Shape& out) {
  std::array<std::int64_t, Shape::kMaxRank> strides{};
  std::int64_t stride = 1;
  for (int d = 1; d <= x.rank(); ++d) {
    strides[static_cast<std::size_t>(out.rank() - d)] = x[-d] == 1 ? 0 : stride;
    stride *= x[-d];
  }
  return strides;
}

/// Nested loops over N operands, as few as possible: extents of 1 are dropped, and neighbouring dimensions
/// that every operand walks in even steps become one. Kernels for GPUs read them, too.
template <std::size_t N>
class Loops {
 public:
  struct Axis {
    std::int64_t extent = 1;
    std::array<std::int64_t, N> strides{};
  };

  /// Appends the next inner dimension.
  void push(const Axis& axis) {
    if (axis.extent == 1) return;
    if (count_ > 0 && continues(axis)) {
      at(count_ - 1).extent *= axis.extent;
      at(count_ - 1).strides = axis.strides;
    } else {
      at(count_++) = axis;
    }
  }
  constexpr int count() const { return count_; }
  constexpr const Axis& operator[](int axis) const { return axes_[static_cast<std::size_t>(axis)]; }
  /// The innermost loop; of one step where there is none.
  constexpr Axis innermost() const { return count_ == 0 ? Axis{} : (*this)[count_ - 1]; }
  constexpr std::int64_t numel() const {
    std::int64_t product = 1;
    for (int d = 0; d < count_; ++d) product *= (*this)[d].extent;
    return product;
  }

  /// Where the operands are at the start of innermost loop number `row`.
  constexpr std::array<std::int64_t, N> row_offsets(std::int64_t row) const {
    return offsets(row, count_ - 1);
  }
  /// Where the operands are at step `index` of all loops.
  constexpr std::array<std::int64_t, N> step_offsets(std::int64_t index) const {
    return offsets(index, count_);
  }

 private:
  Axis& at(int axis) { return axes_[static_cast<std::size_t>(axis)]; }
  bool continues(const Axis& axis) const {
    for (std::size_t n = 0; n < N; ++n)
      if (innermost().strides[n] != axis.extent * axis.strides[n]) return false;
    return true;
  }
  constexpr std::array<std::int64_t, N> offsets(std::int64_t index, int count) const {
    std::array<std::int64_t, N> result{};
    for (int d = count - 1; d >= 0; --d) {
      const Axis& axis = (*this)[d];
      const std::int64_t step = index % axis.extent;
      index /= axis.extent;
      for (std::size_t n = 0; n < N; ++n) result[n] += step * axis.strides[n];
    }
    return result;
  }

  std::array<Axis, Shape::kMaxRank> axes_{};
  int count_ = 0;
};

}  // namespace retrace::detail
