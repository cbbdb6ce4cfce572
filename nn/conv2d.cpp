#include <retrace/autograd/ops/conv2d.h>
#include <retrace/core/fail.h>
#include <retrace/nn/conv2d.h>
#include <retrace/nn/init.h>

namespace retrace {

namespace {

void check(std::int64_t in, std::int64_t out, const Conv2dLayerOptions& options) {
  const auto check_least = [](std::string_view what, Size2d size, std::int64_t least) {
    if (size.h < least || size.w < least)
      fail<ArgumentError>("conv2d", "{} must be at least {}, got {} x {}", what, least, size.h, size.w);
  };
  if (in < 1 || out < 1 || options.groups < 1 || in % options.groups != 0 || out % options.groups != 0)
    fail<ArgumentError>(
        "conv2d", "channels in and out must be multiples of the groups, all at least 1, got {}, {} and {}",
        in, out, options.groups);
  check_least("the kernel", options.kernel, 1);
  check_least("the stride", options.stride, 1);
  check_least("the padding", options.padding, 0);
  check_least("the dilation", options.dilation, 1);
}

}  // namespace

Conv2d::Conv2d(std::int64_t in_channels, std::int64_t out_channels, const Conv2dLayerOptions& options)
    : options_{.stride = options.stride,
               .padding = options.padding,
               .dilation = options.dilation,
               .groups = options.groups,
               .algorithm = options.algorithm} {
  check(in_channels, out_channels, options);
  const Shape shape{out_channels, in_channels / options.groups, options.kernel.h, options.kernel.w};
  weight_ = Parameter(Tensor(shape, DType::f32, Tag::parameter));
  if (options.bias) bias_ = Parameter(Tensor({out_channels}, DType::f32, Tag::parameter));
  init::layer_default(weight_.value(), bias_.value());
}

Var Conv2d::forward(const Var& x) { return conv2d(x, weight_, bias_, options_); }

Var Conv2d::forward_onto(Var& residual, Sign sign, const Var& x) {
  return conv2d_onto(residual, sign, x, weight_, bias_, options_);
}

void Conv2d::members(Members& m) {
  m.parameter("weight", weight_);
  m.parameter("bias", bias_);
}

}  // namespace retrace
