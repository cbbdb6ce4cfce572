#pragma once
// How near tensors and gradients are to each other.
#include <retrace/core/tensor.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "../support/rounding.h"

namespace retrace::test {

/// |a - b| <= atol + rtol |b| everywhere: what a promise of MemCNN's says. The defaults are PyTorch's.
inline bool all_close(const Tensor& a, const Tensor& b, double rtol = 1e-5, double atol = 1e-8) {
  if (!a.defined() || !b.defined() || !(a.shape() == b.shape())) return false;
  const std::vector<double> u = a.to_vector<double>();
  const std::vector<double> v = b.to_vector<double>();
  for (std::size_t i = 0; i < v.size(); ++i)
    if (!(std::abs(u[i] - v[i]) <= atol + rtol * std::abs(v[i]))) return false;
  return true;
}

/// Euclidean, as if the tensors were one vector.
inline double norm(const Tensors& x) {
  double sum = 0;
  for (const Tensor& t : x)
    for (const double v : t.to_vector<double>()) sum += v * v;
  return std::sqrt(sum);
}

/// |a - b|.
inline double distance(const Tensor& a, const Tensor& b) {
  const std::vector<double> u = a.to_vector<double>();
  const std::vector<double> v = b.to_vector<double>();
  double sum = u.size() == v.size() ? 0 : INFINITY;
  for (std::size_t i = 0; i < std::min(u.size(), v.size()); ++i) sum += (u[i] - v[i]) * (u[i] - v[i]);
  return std::sqrt(sum);
}

/// What a backward pass through rebuilt inputs may change, in roundings of the largest number of a tensor.
/// Two half steps and a scale round what is rebuilt; two layers, whose sums have 18 products, pass it on and
/// round in turn.
inline constexpr double kRebuilt = 40;

/// What two right runs in f64 may differ by, relative to the norm or the largest number of a tensor: a
/// rounding of 1e-16 for each of some 1e3 operations in a row, which a network magnifies by 1e4 at most. A
/// wrong mask, scale or random number changes 1e-3 and more.
inline constexpr double kSameInF64 = 1e-9;

/// The largest |got - wanted| / |wanted| of all gradients. One that is zero in exact arithmetic is measured
/// against the norm of them all.
inline double gradient_error(const Tensors& got, const Tensors& wanted) {
  const double whole = norm(wanted);
  double worst = got.size() == wanted.size() ? 0 : INFINITY;
  for (std::size_t i = 0; i < std::min(got.size(), wanted.size()); ++i) {
    const double own = norm({wanted[i]});
    const double error = distance(got[i], wanted[i]) / (own > 1e-12 * whole ? own : whole);
    worst = error <= worst ? worst : error;  // keeps a NaN
  }
  return worst;
}

}  // namespace retrace::test
