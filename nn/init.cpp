#include <retrace/core/fail.h>
#include <retrace/core/kernels.h>
#include <retrace/core/random.h>
#include <retrace/core/range.h>
#include <retrace/nn/init.h>

#include <cmath>

namespace retrace::init {

namespace {

/// The bound of the uniform distribution around 0 with this standard deviation.
double bound_of(double std) { return std::sqrt(3.0) * std; }

double he_std(const Tensor& w, Fan fan, double negative_slope) {
  RealRange{}.check("init", "negative_slope", negative_slope);
  const Fans fans = fans_of(w.shape());
  return std::sqrt(2 / (1 + negative_slope * negative_slope) /
                   static_cast<double>(fan == Fan::in ? fans.in : fans.out));
}

double xavier_std(const Tensor& w, double gain) {
  const Fans fans = fans_of(w.shape());
  return gain * std::sqrt(2 / static_cast<double>(fans.in + fans.out));
}

}  // namespace

Fans fans_of(const Shape& weights) {
  if (weights.rank() < 2)
    fail<ShapeError>("init", "weights with a fan must be [out,in,...], got {}", weights);
  const std::int64_t field = weights.numel_after(1);
  return {.in = weights[1] * field, .out = weights[0] * field};
}

void constant(Tensor& w, double value) { kernel::fill(w, value); }

void uniform(Tensor& w, double low, double high) {
  if (!(low <= high) || !std::isfinite(low) || !std::isfinite(high))
    fail<ArgumentError>("init", "a uniform distribution must have finite bounds low <= high, got {} and {}",
                        low, high);
  kernel::uniform(next_stream(), low, high, w);
}

void normal(Tensor& w, double mean, double std) {
  RealRange{}.check("init", "a mean", mean);
  RealRange::at_least(0).check("init", "a standard deviation", std);
  kernel::normal(next_stream(), mean, std, w);
}

void he_normal(Tensor& w, Fan fan, double negative_slope) { normal(w, 0, he_std(w, fan, negative_slope)); }

void he_uniform(Tensor& w, Fan fan, double negative_slope) {
  const double bound = bound_of(he_std(w, fan, negative_slope));
  uniform(w, -bound, bound);
}

void xavier_normal(Tensor& w, double gain) { normal(w, 0, xavier_std(w, gain)); }

void xavier_uniform(Tensor& w, double gain) {
  const double bound = bound_of(xavier_std(w, gain));
  uniform(w, -bound, bound);
}

void layer_default(Tensor& w, Tensor& bias) {
  const double bound = 1 / std::sqrt(static_cast<double>(fans_of(w.shape()).in));
  uniform(w, -bound, bound);
  if (bias.defined()) uniform(bias, -bound, bound);
}

}  // namespace retrace::init
