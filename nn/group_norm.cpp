#include <retrace/autograd/ops/group_norm.h>
#include <retrace/core/fail.h>
#include <retrace/nn/group_norm.h>

namespace retrace {

LayerNorm::LayerNorm(const Shape& normalized_shape, const LayerNormOptions& options)
    : normalized_shape_(normalized_shape), eps_(options.eps) {
  if (normalized_shape.rank() == 0)
    fail<ShapeError>("layer_norm", "normalized_shape must have at least 1 dimension, got {}",
                     normalized_shape);
  if (!(eps_ > 0)) fail<ArgumentError>("layer_norm", "eps must be above 0, got {}", eps_);
  if (!options.elementwise_affine) return;
  weight_ = Parameter(Tensor::full(normalized_shape, 1, DType::f32, Tag::parameter));
  if (options.bias) bias_ = Parameter(Tensor::zeros(normalized_shape, DType::f32, Tag::parameter));
}

Var LayerNorm::forward(const Var& x) { return layer_norm(x, normalized_shape_, weight_, bias_, eps_); }

void LayerNorm::members(Members& m) {
  m.parameter("weight", weight_);
  m.parameter("bias", bias_);
}

GroupNorm::GroupNorm(std::int64_t num_groups, std::int64_t channels, const GroupNormOptions& options)
    : num_groups_(num_groups), channels_(channels), eps_(options.eps) {
  if (num_groups < 1 || channels < 1 || channels % num_groups != 0)
    fail<ArgumentError>("group_norm",
                        "the channels must be a multiple of the groups, both at least 1, got {} and {}",
                        channels, num_groups);
  if (!(eps_ > 0)) fail<ArgumentError>("group_norm", "eps must be above 0, got {}", eps_);
  if (!options.affine) return;
  weight_ = Parameter(Tensor::full({channels}, 1, DType::f32, Tag::parameter));
  if (options.bias) bias_ = Parameter(Tensor::zeros({channels}, DType::f32, Tag::parameter));
}

Var GroupNorm::forward(const Var& x) {
  if (x.shape().rank() < 2 || x.shape()[1] != channels_)
    fail<ShapeError>("group_norm", "x must be [N,{},...], got {}", channels_, x.shape());
  return group_norm(x, num_groups_, weight_, bias_, eps_);
}

void GroupNorm::members(Members& m) {
  m.parameter("weight", weight_);
  m.parameter("bias", bias_);
}

}  // namespace retrace
