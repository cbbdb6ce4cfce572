#include <retrace/autograd/ops/matmul.h>
#include <retrace/core/fail.h>
#include <retrace/nn/init.h>
#include <retrace/nn/linear.h>

namespace retrace {

Linear::Linear(std::int64_t in_features, std::int64_t out_features, const LinearOptions& options) {
  if (in_features < 1 || out_features < 1)
    fail<ArgumentError>("linear", "there must be at least 1 feature in and out, got {} and {}", in_features,
                        out_features);
  weight_ = Parameter(Tensor({out_features, in_features}, DType::f32, Tag::parameter));
  if (options.bias) bias_ = Parameter(Tensor({out_features}, DType::f32, Tag::parameter));
  init::layer_default(weight_.value(), bias_.value());
}

Var Linear::forward(const Var& x) { return linear(x, weight_, bias_); }

void Linear::members(Members& m) {
  m.parameter("weight", weight_);
  m.parameter("bias", bias_);
}

}  // namespace retrace
