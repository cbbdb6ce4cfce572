#include <retrace/autograd/ops/random.h>
#include <retrace/nn/dropout.h>
#include <retrace/nn/option_ranges.h>

namespace retrace {

Dropout::Dropout(double p) : p_(p) { kDropoutRange.check("dropout", "p", p); }

Var Dropout::forward(const Var& x) { return dropout(x, p_, training()); }

}  // namespace retrace
