#include <retrace/core/fail.h>
#include <retrace/core/kernels.h>
#include <retrace/core/not_null.h>
#include <retrace/nn/clip_grad.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string_view>

namespace retrace {

namespace {

constexpr double kNormEps = 1e-6;

/// The gradients that exist. Throws before anything is changed when one is not to be trusted.
Tensors gradients_of(std::string_view op, const std::vector<Parameter*>& parameters) {
  Tensors gradients;
  for (const Parameter* parameter : none_null(op, "parameter", parameters))
    if (parameter->grad().defined()) gradients.push_back(parameter->grad());
  return gradients;
}

/// The Euclidean norm of all gradients as one vector. Where the sum of squares overflows, or is so small that
/// squares have lost digits, it is that of elements scaled by a power of two, which is exact.
double norm_of(const Tensors& gradients) {
  constexpr double kSmallest = 0x1p-968;  // 2^54 times the smallest square with all its digits
  const auto square_sum = [&](double scale) {
    double sum = 0;
    for (const Tensor& gradient : gradients) sum += kernel::square_sum(gradient, scale);
    return sum;
  };
  const double squares = square_sum(1);
  if (squares >= kSmallest && std::isfinite(squares)) return std::sqrt(squares);
  double largest = 0;
  for (const Tensor& gradient : gradients) largest = std::max(largest, kernel::magnitudes(gradient).largest);
  if (largest == 0 || !std::isfinite(largest)) return std::sqrt(squares);  // 0, infinite or a NaN
  const int exponent = std::max(std::ilogb(largest), -1022);
  return std::ldexp(std::sqrt(square_sum(std::ldexp(1, -exponent))), exponent);
}

}  // namespace

double clip_grad_norm(const std::vector<Parameter*>& parameters, double max_norm) {
  if (!(max_norm >= 0))
    fail<ArgumentError>("clip_grad_norm", "max_norm must be at least 0, got {}", max_norm);
  Tensors gradients = gradients_of("clip_grad_norm", parameters);
  const double norm = norm_of(gradients);
  const double scale =
      std::isfinite(norm) ? max_norm / (norm + kNormEps) : std::numeric_limits<double>::quiet_NaN();
  if (scale >= 1) return norm;
  for (Tensor& gradient : gradients) kernel::scale_shift(gradient, scale, kernel::kNoShift, gradient);
  return norm;
}

void clip_grad_value(const std::vector<Parameter*>& parameters, double limit) {
  if (!(limit >= 0)) fail<ArgumentError>("clip_grad_value", "limit must be at least 0, got {}", limit);
  Tensor no_mask;
  for (Tensor& gradient : gradients_of("clip_grad_value", parameters))
    kernel::clamp(gradient, -limit, limit, gradient, no_mask);
}

}  // namespace retrace
