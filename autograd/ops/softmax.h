#pragma once
#include <retrace/autograd/var.h>

namespace retrace {

/// @file
/// A dimension counts from the end where it is negative; a scalar has one, 0 or -1. Throws ShapeError, and
/// DTypeError unless x is f32 or f64.

/// y = e^x / sum(e^x) along a dimension; the largest x is subtracted first, so that nothing overflows.
Var softmax(const Var& x, int dim = -1);
/// y = x - ln sum(e^x) along a dimension.
Var log_softmax(const Var& x, int dim = -1);

}  // namespace retrace
