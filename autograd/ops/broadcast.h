#pragma once
// Internal: for the derivatives of operations that broadcast.
#include <retrace/core/tensor.h>

namespace retrace::detail {

/// d summed over the dimensions in which a tensor of that shape was repeated; d itself where none was.
Tensor sum_back(const Tensor& d, const Shape& shape);

}  // namespace retrace::detail
