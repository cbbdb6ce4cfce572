#pragma once
#include <retrace/autograd/var.h>

namespace retrace {

/// y = tanh(x).
Var tanh(const Var& x);

}  // namespace retrace
