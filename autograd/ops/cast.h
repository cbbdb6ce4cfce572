#pragma once
#include <retrace/autograd/var.h>

namespace retrace {

/// x with its elements in another floating-point type, to which a narrower one rounds; its gradient is cast
/// back. x itself where it has that type. Throws DTypeError for integers.
Var cast(const Var& x, DType dtype);

}  // namespace retrace
