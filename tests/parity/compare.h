#pragma once
// How near tensors and gradients are to each other.
#include <retrace/core/tensor.h>

#include <algorithm>
#include <cmath>
#include <vector>

namespace retrace::test {

/// |a - b| <= atol + rtol |b| everywhere; the defaults are PyTorch's.
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
