#pragma once
#include <retrace/autograd/var.h>

#include <vector>

namespace retrace {

/// @file
/// Sums run in double, in an order that depends on the shapes alone. `dims` counts from the end where
/// negative, and a scalar has one, 0 or -1; reduced dimensions are left out of the result, or kept as 1.
/// Throws ShapeError unless `dims` names at least one dimension, and each once, and DTypeError unless x is
/// floating-point.

/// The sum of all elements, a scalar.
Var sum(const Var& x);
/// The sum over `dims`.
Var sum(const Var& x, const std::vector<int>& dims, bool keepdim = false);
/// The mean of all elements, a scalar.
Var mean(const Var& x);
/// The mean over `dims`.
Var mean(const Var& x, const std::vector<int>& dims, bool keepdim = false);

/// The index (i64) of the largest element along the last dimension, the first of equal ones; a NaN is larger
/// than all numbers. x: [.., C], result: [..]; 0 for a scalar.
Tensor argmax(const Tensor& x);

}  // namespace retrace
