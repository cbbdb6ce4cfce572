#include <retrace/autograd/autocast.h>
#include <retrace/autograd/ops/check.h>
#include <retrace/autograd/ops/conv2d.h>
#include <retrace/autograd/record.h>
#include <retrace/core/kernels.h>

#include <utility>

namespace retrace {

namespace {

/// The sum over images and pixels: dy [N, O, H, W] -> [O].
Tensor sum_per_channel(const Tensor& dy) {
  const std::int64_t channels = dy.shape()[1];
  Tensor sum = like(dy, {1, channels, 1, 1}, Tag::gradient);
  kernel::sum_to(dy, 1, sum);
  return sum.reshape({channels});
}

/// Whether a convolution can take a residual up into its result.
bool fits(const Var& residual, Sign sign, const Shape& shape, const Var& x, const Var& w, const Var& bias) {
  const bool recorded =
      needs_gradient(x) || needs_gradient(w) || needs_gradient(bias) || needs_gradient(residual);
  return residual.defined() && residual.shape() == shape && residual.dtype() == x.dtype() &&
         (sign == Sign::plus || !recorded);
}

}  // namespace

Var conv2d(const Var& x, const Var& w, const Var& bias, const Conv2dOptions& options) {
  Var none;
  return conv2d_onto(none, Sign::plus, x, w, bias, options);
}

Var conv2d_onto(Var& residual, Sign sign, const Var& x, const Var& w, const Var& bias,
                const Conv2dOptions& options) {
  if (autocast::to_lower(x, w, bias))
    return conv2d(autocast::in_lower(x), autocast::in_lower(w), autocast::in_lower(bias), options);
  detail::check_any_float("conv2d", x);
  detail::check_defined("conv2d", "w", w.value());
  const Shape shape = conv2d_shape(x.shape(), w.shape(), options);
  detail::check_same_dtype("conv2d", x.value(), "w", w.value());
  detail::check_same_dtype("conv2d", x.value(), "bias", bias.value());
  if (bias.defined()) detail::check_per_channel("conv2d", shape[1], "bias", bias.value());
  Var addend;
  if (fits(residual, sign, shape, x, w, bias)) addend = std::exchange(residual, Var());
  Tensor y = addend.constant() && addend.value().unique() ? addend.value() : like(x.value(), shape);
  kernel::conv2d(x.value(), w.value(), bias.value(), options, {addend.value(), sign}, y);
  const Shape x_shape = x.shape();
  const Shape w_shape = w.shape();
  return record("conv2d", {x, w, bias, addend}, y,
                /*save=*/{needs_gradient(w) ? x.value() : Tensor(), needs_gradient(x) ? w.value() : Tensor()},
                [options, x_shape, w_shape](const Tensor& dy, Saved saved, const Wants& wants,
                                            Tensors& arrived) -> Tensors {
                  Tensor dx;
                  Tensor dw;
                  if (wants[0]) {
                    const Tensor before = std::exchange(arrived[0], Tensor());
                    dx = before.unique() ? before : like(dy, x_shape, Tag::gradient);
                    kernel::conv2d_backward_data(dy, saved[1], options, {before}, dx);
                  }
                  if (wants[1]) {
                    dw = like(dy, w_shape, Tag::gradient);
                    kernel::conv2d_backward_weight(dy, saved[0], options, dw);
                  }
                  return {dx, dw, wants[2] ? sum_per_channel(dy) : Tensor(), wants[3] ? dy : Tensor()};
                });
}

}  // namespace retrace
