#pragma once
// Internal: for the derivatives of operations that broadcast.
#include <retrace/core/tensor.h>

#include <string_view>

namespace retrace::detail {

/// Throws DTypeError unless x and y have one element type.
void check_same_dtype(std::string_view op, const Tensor& x, const Tensor& y);

/// d summed over the dimensions in which a tensor of that shape was repeated; d itself where none was.
Tensor sum_back(const Tensor& d, const Shape& shape);

}  // namespace retrace::detail
