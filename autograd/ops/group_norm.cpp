#include <retrace/autograd/autocast.h>
#include <retrace/autograd/ops/check.h>
#include <retrace/autograd/ops/group_norm.h>
#include <retrace/autograd/record.h>
#include <retrace/core/kernels.h>
#include <retrace/core/range.h>

#include <algorithm>

namespace retrace {

namespace {

/// What the kernel sees: x as [N, C, plane], in groups of channels.
struct View {
  Shape x{};
  std::int64_t groups = 1;
};

Tensor reshaped(const Tensor& x, const Shape& shape) { return x.defined() ? x.reshape(shape) : x; }

/// dbeta = sum dy for each channel; see the kernels for dx and dgamma
Tensors backward(const View& view, const Tensor& dy, Saved saved, const Wants& wants, const Shape& beta) {
  const Shape channels{view.x[1]};
  const Tensor dys = dy.reshape(view.x);
  Tensors d(3);
  if (wants[0]) d[0] = like(dy, Tag::gradient);
  if (wants[1]) d[1] = like(saved[1], Tag::gradient);
  if (wants[2]) {
    d[2] = like(dy, beta, Tag::gradient);
    Tensor sums = d[2].reshape({1, view.x[1], 1});
    kernel::sum_to(dys, 1, sums);
  }
  if (!wants[0] && !wants[1]) return d;
  Tensor dx = reshaped(d[0], view.x);
  Tensor dgamma = reshaped(d[1], channels);
  kernel::group_norm_backward(dys, saved[0].reshape(view.x), reshaped(saved[1], channels), saved[2], saved[3],
                              view.groups, dx, dgamma);
  return d;
}

Var normalize(std::string_view op, const Var& x, const Var& gamma, const Var& beta, const View& view,
              double eps) {
  const Shape channels{view.x[1]};
  Tensor y = like(x.value());
  Tensor ys = y.reshape(view.x);
  Tensor mean = like(x.value(), {view.x[0] * view.groups}, Tag::saved);
  Tensor rstd = like(mean, Tag::saved);
  kernel::group_norm(x.value().reshape(view.x), reshaped(gamma.value(), channels),
                     reshaped(beta.value(), channels), view.groups, eps, mean, rstd, ys);
  const bool save = needs_gradient(x) || needs_gradient(gamma);  // for beta's gradient nothing
  return record(op, {x, gamma, beta}, y,
                /*save=*/save ? Tensors{x.value(), gamma.value(), mean, rstd} : Tensors(),
                [view, shape = beta.shape()](const Tensor& dy, Saved saved, const Wants& wants) -> Tensors {
                  return backward(view, dy, saved, wants, shape);
                });
}

void check_common(std::string_view op, const Var& x, const Var& gamma, const Var& beta, double eps) {
  RealRange::above(0).check(op, "eps", eps);
  detail::check_float(op, x);
  detail::check_same_dtype(op, x.value(), "gamma", gamma.value());
  detail::check_same_dtype(op, x.value(), "beta", beta.value());
}

}  // namespace

Var layer_norm(const Var& x, const Shape& normalized_shape, const Var& gamma, const Var& beta, double eps) {
  constexpr std::string_view kOp = "layer_norm";
  if (autocast::to_f32(x, gamma, beta))
    return layer_norm(autocast::in_f32(x), normalized_shape, autocast::in_f32(gamma), autocast::in_f32(beta),
                      eps);
  check_common(kOp, x, gamma, beta, eps);
  const Shape shape = x.shape();
  const int outer = shape.rank() - normalized_shape.rank();
  if (normalized_shape.rank() == 0 || outer < 0 ||
      !std::equal(normalized_shape.begin(), normalized_shape.end(), shape.begin() + outer))
    fail<ShapeError>(kOp, "x must end in the normalized_shape {} of at least 1 dimension, got {}",
                     normalized_shape, shape);
  const auto check_one = [&](std::string_view name, const Var& other) {
    if (other.defined() && !(other.shape() == normalized_shape))
      fail<ShapeError>(kOp, "{} must be {} as normalized_shape is, got {}", name, normalized_shape,
                       other.shape());
  };
  check_one("gamma", gamma);
  check_one("beta", beta);
  const std::int64_t size = normalized_shape.numel();
  return normalize(kOp, x, gamma, beta, {.x = {shape.numel() / size, size, 1}, .groups = 1}, eps);
}

Var group_norm(const Var& x, std::int64_t num_groups, const Var& gamma, const Var& beta, double eps) {
  constexpr std::string_view kOp = "group_norm";
  if (autocast::to_f32(x, gamma, beta))
    return group_norm(autocast::in_f32(x), num_groups, autocast::in_f32(gamma), autocast::in_f32(beta), eps);
  check_common(kOp, x, gamma, beta, eps);
  const Shape shape = x.shape();
  if (shape.rank() < 2) fail<ShapeError>(kOp, "x must be [N,C,...], got {}", shape);
  if (num_groups < 1 || shape[1] % num_groups != 0)
    fail<ArgumentError>(kOp, "num_groups must divide the {} channels of x {}, got {}", shape[1], shape,
                        num_groups);
  if (gamma.defined()) detail::check_per_channel(kOp, shape[1], "gamma", gamma.value());
  if (beta.defined()) detail::check_per_channel(kOp, shape[1], "beta", beta.value());
  return normalize(kOp, x, gamma, beta,
                   {.x = {shape[0], shape[1], shape.numel_after(1)}, .groups = num_groups}, eps);
}

}  // namespace retrace
