#pragma once
#include <retrace/core/error.h>

#include <array>
#include <cstdint>
#include <initializer_list>
#include <iosfwd>
#include <span>
#include <string>
#include <string_view>

namespace retrace {

/// The extents of a tensor, outermost first. Every extent is at least 1; a scalar has rank 0.
///
/// The capacity is fixed, so that a Shape is trivially copyable and a derivative may capture it by value.
class Shape {
 public:
  static constexpr int kMaxRank = 8;  ///< the most dimensions

  Shape() = default;
  /// Throws ShapeError when an extent is below 1, the rank is above kMaxRank, or the product exceeds 2^59.
  Shape(std::initializer_list<std::int64_t> extents);
  /// A shape of extents that are counted at run time. Throws the same; `op` names the caller in errors.
  explicit Shape(std::span<const std::int64_t> extents, std::string_view op = "shape");

  int rank() const { return rank_; }  ///< the number of dimensions; 0 for a scalar
  /// The extent of dimension `dim`; a negative one counts from the end. Throws ShapeError out of range.
  std::int64_t operator[](int dim) const { return extents_[static_cast<std::size_t>(dimension(dim))]; }
  /// The number of elements; 1 for a scalar.
  std::int64_t numel() const;
  /// `dim` as a number in [0, rank). Throws ShapeError out of range.
  int dimension(int dim) const;

  /// This shape with another extent in dimension `dim`.
  Shape with(int dim, std::int64_t extent) const;
  /// This shape without dimension `dim`.
  Shape without(int dim) const;
  /// The product of the extents in front of dimension `dim`.
  std::int64_t numel_before(int dim) const;
  /// The product of the extents behind dimension `dim`.
  std::int64_t numel_after(int dim) const;

  /// The first extent: a Shape is a range of its extents.
  const std::int64_t* begin() const { return extents_.data(); }
  /// Behind the last one.
  const std::int64_t* end() const { return extents_.data() + rank_; }
  /// The same rank and the same extents.
  bool operator==(const Shape& other) const;

 private:
  void push_back(std::int64_t extent);

  std::array<std::int64_t, kMaxRank> extents_{};
  int rank_ = 0;
};

/// `[2,10,8,8]`, and `[]` for a scalar.
std::string to_string(const Shape& shape);
/// Writes to_string(shape).
std::ostream& operator<<(std::ostream& out, const Shape& shape);

}  // namespace retrace
