#include <retrace/autograd/ops/copy.h>
#include <retrace/nn/flatten.h>

namespace retrace {

Var Flatten::forward(const Var& x) { return flatten(x, start_dim_, end_dim_); }

}  // namespace retrace
