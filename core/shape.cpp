#include <retrace/core/fail.h>
#include <retrace/core/shape.h>

#include <algorithm>
#include <ostream>

namespace retrace {

namespace {
constexpr std::int64_t kMaxElements = std::int64_t{1} << 59;  // of 8 bytes each: 2^62 can be counted
}

Shape::Shape(std::initializer_list<std::int64_t> extents)
    : Shape(std::span<const std::int64_t>(extents.begin(), extents.size())) {}

Shape::Shape(std::span<const std::int64_t> extents, std::string_view op) {
  if (extents.size() > kMaxRank)
    fail<ShapeError>(op, "the rank must be at most {}, got {}", kMaxRank, extents.size());
  std::int64_t elements = 1;
  for (const std::int64_t extent : extents) {
    if (extent < 1)
      fail<ShapeError>(op, "every extent must be at least 1, got [{}]", fmt::join(extents, ","));
    if (extent > kMaxElements / elements)
      fail<ShapeError>(op, "the product of the extents must be at most 2^59, got [{}]",
                       fmt::join(extents, ","));
    elements *= extent;
    push_back(extent);
  }
}

void Shape::push_back(std::int64_t extent) { extents_[static_cast<std::size_t>(rank_++)] = extent; }

std::int64_t Shape::numel() const {
  std::int64_t elements = 1;
  for (const std::int64_t extent : *this) elements *= extent;
  return elements;
}

int Shape::dimension(int dim) const {
  if (dim < -rank_ || dim >= rank_)
    fail<ShapeError>("shape", "a dimension of {} must be in [{},{}), got {}", *this, -rank_, rank_, dim);
  return dim < 0 ? dim + rank_ : dim;
}

Shape Shape::with(int dim, std::int64_t extent) const {
  std::array<std::int64_t, kMaxRank> extents = extents_;
  extents[static_cast<std::size_t>(dimension(dim))] = extent;
  return Shape(std::span(extents.data(), static_cast<std::size_t>(rank_)));
}

Shape Shape::without(int dim) const {
  const int skipped = dimension(dim);
  Shape result;
  for (int d = 0; d < rank_; ++d)
    if (d != skipped) result.push_back((*this)[d]);
  return result;
}

std::int64_t Shape::numel_before(int dim) const {
  std::int64_t elements = 1;
  for (int d = 0; d < dimension(dim); ++d) elements *= (*this)[d];
  return elements;
}

std::int64_t Shape::numel_after(int dim) const {
  std::int64_t elements = 1;
  for (int d = dimension(dim) + 1; d < rank_; ++d) elements *= (*this)[d];
  return elements;
}

bool Shape::operator==(const Shape& other) const {
  return std::equal(begin(), end(), other.begin(), other.end());
}

std::string to_string(const Shape& shape) { return fmt::format("{}", shape); }

std::ostream& operator<<(std::ostream& out, const Shape& shape) { return out << to_string(shape); }

}  // namespace retrace
