#include <retrace/autograd/autocast.h>
#include <retrace/autograd/ops/batch_norm.h>
#include <retrace/autograd/ops/check.h>
#include <retrace/autograd/ops/mask.h>
#include <retrace/autograd/record.h>
#include <retrace/core/kernels.h>

#include <utility>

namespace retrace {

namespace {

void check(std::string_view op, const Var& x, const Var& gamma, const Var& beta, const Tensor& running_mean,
           const Tensor& running_var, const BatchNormOptions& options) {
  detail::check_float(op, x);
  const Shape shape = x.shape();
  if (shape.rank() != 2 && shape.rank() != 4)
    fail<ShapeError>(op, "x must be [N,C,H,W] or [N,C], got {}", shape);
  if (options.eps <= 0) fail<ArgumentError>(op, "eps must be above 0, got {}", options.eps);
  const auto check_one = [&](std::string_view name, const Tensor& other) {
    if (!other.defined()) return;
    detail::check_same_dtype(op, x.value(), name, other);
    detail::check_per_channel(op, shape[1], name, other);
  };
  check_one("gamma", gamma.value());
  check_one("beta", beta.value());
  detail::check_defined(op, "running_mean", running_mean);
  detail::check_defined(op, "running_var", running_var);
  check_one("running_mean", running_mean);
  check_one("running_var", running_var);
  if (options.training && shape.numel() == shape[1])
    fail<ShapeError>(op, "training needs more than one value for each channel, got {}", shape);
}

/// x's value for each channel, or `otherwise` where x is undefined.
Tensor per_channel(const Var& x, double otherwise, const Tensor& like_this) {
  return x.defined()
             ? x.value()
             : Tensor::full(like_this.shape(), otherwise, like_this.dtype(), Tag::saved, like_this.device());
}

/// batch_norm and batch_norm_relu.
Var normalize(std::string_view op, const Var& x, const Var& gamma, const Var& beta, Tensor& running_mean,
              Tensor& running_var, const BatchNormOptions& options, bool relu) {
  if (autocast::to_f32(x, gamma, beta))
    return normalize(op, autocast::in_f32(x), autocast::in_f32(gamma), autocast::in_f32(beta), running_mean,
                     running_var, options, relu);
  check(op, x, gamma, beta, running_mean, running_var, options);
  const bool needs_dx = needs_gradient(x);
  const bool needs_dgamma = needs_gradient(gamma);
  Tensor y = like(x.value());
  Tensor mask = detail::make_mask(relu && (needs_dx || needs_dgamma || needs_gradient(beta)), x.value());
  const Tensor scale = per_channel(gamma, 1, running_mean);
  const Tensor shift = per_channel(beta, 0, running_mean);
  Tensor mean = like(running_mean, Tag::saved);
  Tensor rstd = like(running_var, Tag::saved);
  if (options.training) {
    Tensor untouched;
    const bool update = !Recomputing::active();
    kernel::batch_norm_training(x.value(), scale, shift, options.momentum, options.eps, relu,
                                update ? running_mean : untouched, update ? running_var : untouched, mean,
                                rstd, y, mask);
  } else {
    mean = running_mean.clone(Tag::saved);
    kernel::batch_norm_rstd(running_var, options.eps, rstd);
    kernel::batch_norm_normalize(x.value(), mean, rstd, scale, shift, relu, y, mask);
  }
  const bool training = options.training;
  const bool needs_x = needs_dgamma || (training && needs_dx);
  return record(op, {x, gamma, beta}, y,
                /*save=*/{needs_x ? x.value() : Tensor(), needs_dx ? scale : Tensor(), mean, rstd, mask},
                [training](const Tensor& dy, Saved saved, const Wants& wants, Tensors& arrived) -> Tensors {
                  const Tensor before = wants[0] ? std::exchange(arrived[0], Tensor()) : Tensor();
                  Tensor dx;
                  if (wants[0]) dx = before.unique() ? before : reuse(dy);
                  Tensor dgamma = wants[1] ? like(saved[3], Tag::gradient) : Tensor();
                  Tensor dbeta = wants[2] ? like(saved[3], Tag::gradient) : Tensor();
                  kernel::batch_norm_backward(dy, saved[0], saved[1], saved[2], saved[3], saved[4], training,
                                              {before}, dx, dgamma, dbeta);
                  return {dx, dgamma, dbeta};
                });
}

}  // namespace

Var batch_norm(const Var& x, const Var& gamma, const Var& beta, Tensor& running_mean, Tensor& running_var,
               const BatchNormOptions& options) {
  return normalize("batch_norm", x, gamma, beta, running_mean, running_var, options, /*relu=*/false);
}

Var batch_norm_relu(const Var& x, const Var& gamma, const Var& beta, Tensor& running_mean,
                    Tensor& running_var, const BatchNormOptions& options) {
  return normalize("batch_norm_relu", x, gamma, beta, running_mean, running_var, options, /*relu=*/true);
}

}  // namespace retrace
