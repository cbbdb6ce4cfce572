#include <retrace/autograd/ops/pool.h>
#include <retrace/nn/pool.h>

namespace retrace {

Var MaxPool2d::forward(const Var& x) { return max_pool2d(x, options_); }

Var AvgPool2d::forward(const Var& x) { return avg_pool2d(x, options_); }

Var AdaptiveAvgPool2d::forward(const Var& x) { return adaptive_avg_pool2d(x, grid_); }

}  // namespace retrace
