#include <retrace/autograd/ops/batch_norm.h>
#include <retrace/core/fail.h>
#include <retrace/nn/batch_norm.h>

namespace retrace {

BatchNorm2d::BatchNorm2d(std::int64_t channels, const BatchNorm2dOptions& options) : options_(options) {
  if (channels < 1) fail<ArgumentError>("batch_norm2d", "there must be at least 1 channel, got {}", channels);
  if (!(options.eps > 0)) fail<ArgumentError>("batch_norm2d", "eps must be above 0, got {}", options.eps);
  if (!(options.momentum >= 0 && options.momentum <= 1))
    fail<ArgumentError>("batch_norm2d", "momentum must be in [0,1], got {}", options.momentum);
  if (options.affine) weight_ = Parameter(Tensor::ones({channels}, DType::f32, Tag::parameter));
  if (options.affine && options.bias)
    bias_ = Parameter(Tensor::zeros({channels}, DType::f32, Tag::parameter));
  running_mean_ = Tensor::zeros({channels}, DType::f32, Tag::buffer);
  running_var_ = Tensor::full({channels}, 1, DType::f32, Tag::buffer);
  num_batches_tracked_ = Tensor::zeros({}, DType::i64, Tag::buffer);
}

Var BatchNorm2d::forward(const Var& x) { return normalize(x, /*relu=*/false); }

Var BatchNorm2d::then_relu(const Var& x) {
  const ModuleScope scope(*this);
  return normalize(x, /*relu=*/true);
}

Var BatchNorm2d::normalize(const Var& x, bool relu) {
  if (x.shape().rank() != 4) fail<ShapeError>("batch_norm2d", "x must be [N,C,H,W], got {}", x.shape());
  const auto op = relu ? &batch_norm_relu : &batch_norm;
  const Var y = op(x, weight_, bias_, running_mean_, running_var_,
                   {.training = training(), .momentum = options_.momentum, .eps = options_.eps});
  if (training() && !Recomputing::active()) ++*num_batches_tracked_.mutable_data<std::int64_t>();
  return y;
}

void BatchNorm2d::members(Members& m) {
  m.parameter("weight", weight_);
  m.parameter("bias", bias_);
  m.buffer("running_mean", running_mean_);
  m.buffer("running_var", running_var_);
  m.buffer("num_batches_tracked", num_batches_tracked_);
}

}  // namespace retrace
