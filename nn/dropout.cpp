#include <retrace/autograd/ops/random.h>
#include <retrace/core/fail.h>
#include <retrace/nn/dropout.h>

namespace retrace {

Dropout::Dropout(double p) : p_(p) {
  if (!(p >= 0 && p <= 1)) fail<ArgumentError>("dropout", "p must be in [0,1], got {}", p);
}

Var Dropout::forward(const Var& x) { return dropout(x, p_, training()); }

}  // namespace retrace
