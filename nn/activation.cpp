#include <retrace/autograd/ops/activation.h>
#include <retrace/core/range.h>
#include <retrace/nn/activation.h>

namespace retrace {

Var ReLU::forward(const Var& x) { return relu(x); }

LeakyReLU::LeakyReLU(double negative_slope) : negative_slope_(negative_slope) {
  RealRange{}.check("leaky_relu", "negative_slope", negative_slope);
}

Var LeakyReLU::forward(const Var& x) { return leaky_relu(x, negative_slope_); }

Var Tanh::forward(const Var& x) { return tanh(x); }

Var SiLU::forward(const Var& x) { return silu(x); }

Var GELU::forward(const Var& x) { return gelu(x, options_.approximate); }

Var Sigmoid::forward(const Var& x) { return sigmoid(x); }

}  // namespace retrace
