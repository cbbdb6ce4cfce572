#pragma once
#include <retrace/core/shape.h>

#include <string_view>

namespace retrace {

/// The shape of x op y: extents are equal or one of them is 1, aligned at the last dimension. Throws
/// ShapeError.
Shape broadcast_shape(std::string_view op, const Shape& x, const Shape& y);

}  // namespace retrace
