#pragma once
#include <retrace/autograd/var.h>

namespace retrace {

/// In training, y = x / (1 - p) with probability 1 - p, else 0 x, element by element; otherwise x itself.
/// Nothing is saved: the derivative draws the same numbers again. Throws ArgumentError unless 0 <= p <= 1.
/// Srivastava et al.: "Dropout: a simple way to prevent neural networks from overfitting", JMLR 15, 2014.
Var dropout(const Var& x, double p = 0.5, bool training = true);

}  // namespace retrace
