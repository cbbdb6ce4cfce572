#pragma once
#include <retrace/autograd/var.h>

namespace retrace {

/// y = e^x / sum(e^x) along a dimension; the largest x is subtracted first, so that nothing overflows.
Var softmax(const Var& x, int dim = -1);
/// y = x - ln sum(e^x) along a dimension.
Var log_softmax(const Var& x, int dim = -1);

}  // namespace retrace
