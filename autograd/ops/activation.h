#pragma once
#include <retrace/autograd/var.h>

namespace retrace {

/// @file
/// The derivative of each is a decision, taken in forward and kept as one bit an element (abs: two): a saved
/// value that a reversible module rebuilds is equal up to rounding, and what was exactly 0 comes back on
/// either side of it. A NaN stays a NaN, and its gradient passes ReLU.

/// y = max(x, 0).
Var relu(const Var& x);
/// y = x where x > 0, else slope x; the gradient is dy or slope dy.
Var leaky_relu(const Var& x, double slope = 0.01);
/// y = min(max(x, low), high); the gradient passes where low <= x <= high. Throws ArgumentError unless low <=
/// high.
Var clamp(const Var& x, double low, double high);
/// y = |x|; the gradient is 0 dy where x = 0.
Var abs(const Var& x);

}  // namespace retrace
