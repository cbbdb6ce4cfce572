#include <retrace/core/fail.h>
#include <retrace/core/kernels.h>
#include <retrace/nn/clip_grad.h>

#include <algorithm>
#include <cmath>

namespace retrace {

namespace {

constexpr double kNormEps = 1e-6;

/// The gradients that exist. Throws before anything is changed when one is not to be trusted.
Tensors gradients_of(const std::vector<Parameter*>& parameters) {
  Tensors gradients;
  for (const Parameter* parameter : parameters)
    if (parameter->grad().defined()) gradients.push_back(parameter->grad());
  return gradients;
}

}  // namespace

double clip_grad_norm(const std::vector<Parameter*>& parameters, double max_norm) {
  if (!(max_norm >= 0))
    fail<ArgumentError>("clip_grad_norm", "max_norm must be at least 0, got {}", max_norm);
  Tensors gradients = gradients_of(parameters);
  double sum = 0;
  for (const Tensor& gradient : gradients) {
    Tensor squares({}, DType::f64, Tag::workspace, gradient.device());
    kernel::square_sum(gradient, squares);
    sum += squares.item();
  }
  const double norm = std::sqrt(sum);
  const double scale = max_norm / (norm + kNormEps);
  if (scale >= 1) return norm;
  for (Tensor& gradient : gradients) kernel::scale_shift(gradient, scale, 0, gradient);
  return norm;
}

void clip_grad_value(const std::vector<Parameter*>& parameters, double limit) {
  if (!(limit >= 0)) fail<ArgumentError>("clip_grad_value", "limit must be at least 0, got {}", limit);
  Tensor no_mask;
  for (Tensor& gradient : gradients_of(parameters)) kernel::clamp(gradient, -limit, limit, gradient, no_mask);
}

}  // namespace retrace
