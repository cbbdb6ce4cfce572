// Group normalisation, which is layer normalisation where a sample is one group and a channel one value. A
// group lies in one piece, so memory is read once although its statistics take two passes.
#include <retrace/core/cpu/parallel.h>
#include <retrace/core/cpu/sums.h>
#include <retrace/core/data_or_null.h>
#include <retrace/core/kernels.h>

#include <algorithm>
#include <cmath>

namespace retrace {

namespace {

using cpu::add_terms;
using cpu::kGrain;
using cpu::parallel_for;
using cpu::TwoSums;

constexpr std::int64_t kMostParts = 64;

/// A tensor of [N, C, plane] whose channels form groups.
struct Layout {
  Layout(const Shape& x, std::int64_t number_of_groups)
      : n(x[0]),
        c(x[1]),
        plane(x.numel_after(1)),
        groups(number_of_groups),
        channels(c / groups),
        size(channels * plane) {}

  /// Calls f(a group's number, where it begins, its first channel) for the groups of all samples.
  template <class F>
  void for_each_group(std::int64_t begin, std::int64_t end, const F& f) const {
    for (std::int64_t g = begin; g < end; ++g) f(g, g * size, g % groups * channels);
  }

  std::int64_t n, c, plane, groups;
  std::int64_t channels;  // of a group
  std::int64_t size;      // values of a group
};

/// The n values at x.
template <class T>
cpu::Moments moments_of(const T* x, std::int64_t n) {
  const auto count = static_cast<double>(n);
  TwoSums sums;
  add_terms<T>(n, sums, [x](auto at, auto& sum, auto&) { sum += at(x); });
  const T rounded = static_cast<T>(sums.first / count);
  TwoSums centered;
  add_terms<T>(n, centered, [x, rounded](auto at, auto& sum, auto& squares) {
    const auto d = at(x) - rounded;
    sum += d;
    squares += d * d;
  });
  const cpu::Moments moments = cpu::moments_around(static_cast<double>(rounded), centered, count);
  if (moments.finite()) return moments;
  const auto for_each_value = [=](const auto& f) { std::for_each_n(x, n, f); };
  return cpu::moments_in_double(for_each_value, count);
}

/// y = gamma (x - mean) rstd + beta for one group, whose channels' gamma and beta are given.
template <class T>
void normalize(const Layout& layout, const T* x, T mean, T rstd, const T* gamma, const T* beta, T* y) {
  if (layout.plane == 1) {
    for (std::int64_t i = 0; i < layout.channels; ++i) y[i] = (x[i] - mean) * (gamma[i] * rstd) + beta[i];
    return;
  }
  for (std::int64_t k = 0; k < layout.channels; ++k) {
    const std::int64_t offset = k * layout.plane;
    const T scale = gamma[k] * rstd;
    const T shift = beta[k];
    for (std::int64_t i = offset; i < offset + layout.plane; ++i) y[i] = (x[i] - mean) * scale + shift;
  }
}

/// dx = rstd (gamma dy - shift - (x - mean) slope) for one group.
template <class T>
void differentiate(const Layout& layout, const T* dy, const T* x, T mean, T rstd, T shift, T slope,
                   const T* gamma, T* dx) {
  if (layout.plane == 1) {
    for (std::int64_t i = 0; i < layout.channels; ++i)
      dx[i] = rstd * (gamma[i] * dy[i] - shift - (x[i] - mean) * slope);
    return;
  }
  for (std::int64_t k = 0; k < layout.channels; ++k) {
    const T scale = gamma[k];
    for (std::int64_t i = k * layout.plane; i < (k + 1) * layout.plane; ++i)
      dx[i] = rstd * (scale * dy[i] - shift - (x[i] - mean) * slope);
  }
}

/// What the gradient is made of.
template <class T>
struct Backward {
  Layout layout;
  const T *dy, *x, *gamma, *mean, *rstd;
  T* dx;            // null: not wanted
  double* partial;  // dgamma of each part of the samples: [parts, C]; null: not wanted

  /// sum gamma dy in .first, sum gamma dy (x - mean) in .second; adds to a part's dgamma.
  TwoSums sums_of(std::int64_t group, std::int64_t offset, std::int64_t channel, double* dgamma) const {
    const T m = mean[group];
    const auto r = static_cast<double>(rstd[group]);
    const T* d = dy + offset;
    const T* v = x + offset;
    const T* g = gamma + channel;
    TwoSums total;
    if (layout.plane == 1) {
      add_terms<T>(layout.channels, total, [=](auto at, auto& sum, auto& product) {
        const auto e = at(d) * at(g);
        sum += e;
        product += e * (at(v) - m);
      });
      if (dgamma != nullptr)
        for (std::int64_t i = 0; i < layout.channels; ++i)
          dgamma[channel + i] += static_cast<double>(d[i] * (v[i] - m)) * r;
      return total;
    }
    for (std::int64_t k = 0; k < layout.channels; ++k, d += layout.plane, v += layout.plane) {
      TwoSums sums;
      add_terms<T>(layout.plane, sums, [=](auto at, auto& sum, auto& product) {
        const auto e = at(d);
        sum += e;
        product += e * (at(v) - m);
      });
      total.first += static_cast<double>(g[k]) * sums.first;
      total.second += static_cast<double>(g[k]) * sums.second;
      if (dgamma != nullptr) dgamma[channel + k] += sums.second * r;
    }
    return total;
  }

  /// dx = rstd (gamma dy - sum(gamma dy) / n - (x - mean) rstd^2 sum(gamma dy (x - mean)) / n)
  void operator()(std::int64_t begin, std::int64_t end, std::int64_t part) const {
    double* dgamma = partial == nullptr ? nullptr : partial + part * layout.c;
    if (dgamma != nullptr) std::fill_n(dgamma, layout.c, 0.0);
    const auto run = [&](std::int64_t group, std::int64_t offset, std::int64_t channel) {
      const TwoSums sums = sums_of(group, offset, channel, dgamma);
      if (dx == nullptr) return;
      const auto r = static_cast<double>(rstd[group]);
      const auto count = static_cast<double>(layout.size);
      differentiate(layout, dy + offset, x + offset, mean[group], rstd[group],
                    static_cast<T>(sums.first / count), static_cast<T>(r * (r * sums.second / count)),
                    gamma + channel, dx + offset);
    };
    layout.for_each_group(begin * layout.groups, end * layout.groups, run);
  }
};

/// `x`, or where it is undefined as many numbers `value` as there are channels.
Tensor or_constant(const Tensor& x, const Layout& layout, double value, DType dtype) {
  if (x.defined()) return x;
  Tensor constant({layout.c}, dtype, Tag::workspace);
  kernel::fill(constant, value);
  return constant;
}

void group_norm_cpu(const Tensor& x, const Tensor& gamma, const Tensor& beta, std::int64_t groups, double eps,
                    Tensor& mean, Tensor& rstd, Tensor& y) {
  const Layout layout(x.shape(), groups);
  const Tensor scale = or_constant(gamma, layout, 1, x.dtype());
  const Tensor shift = or_constant(beta, layout, 0, x.dtype());
  visit_float("group_norm", x.dtype(), [&]<class T>(TypeTag<T>) {
    const auto run = [=, from = x.data<T>(), g = scale.data<T>(), b = shift.data<T>(),
                      means = mean.mutable_data<T>(), rstds = rstd.mutable_data<T>(),
                      to = y.mutable_data<T>()](std::int64_t i, std::int64_t offset, std::int64_t channel) {
      const cpu::Moments moments = moments_of(from + offset, layout.size);
      means[i] = static_cast<T>(moments.mean);
      rstds[i] = static_cast<T>(1 / std::sqrt(moments.variance + eps));
      normalize(layout, from + offset, means[i], rstds[i], g + channel, b + channel, to + offset);
    };
    parallel_for(layout.n * layout.groups, std::max<std::int64_t>(1, kGrain / layout.size),
                 [&](std::int64_t begin, std::int64_t end) { layout.for_each_group(begin, end, run); });
  });
}

void group_norm_backward_cpu(const Tensor& dy, const Tensor& x, const Tensor& gamma, const Tensor& mean,
                             const Tensor& rstd, std::int64_t groups, Tensor& dx, Tensor& dgamma) {
  const Layout layout(x.shape(), groups);
  const std::int64_t samples = std::max(cpu::task_count(kGrain, layout.c * layout.plane),
                                        cpu::task_count(layout.n, kMostParts));  // of a part
  const std::int64_t parts = cpu::task_count(layout.n, samples);
  const Tensor scale = or_constant(gamma, layout, 1, x.dtype());
  Tensor partial;
  if (dgamma.defined()) partial = Tensor({parts, layout.c}, DType::f64, Tag::workspace);
  double* sums = dgamma.defined() ? partial.mutable_data<double>() : nullptr;
  visit_float("group_norm", x.dtype(), [&]<class T>(TypeTag<T>) {
    const Backward<T> backward{layout,
                               dy.data<T>(),
                               x.data<T>(),
                               scale.data<T>(),
                               mean.data<T>(),
                               rstd.data<T>(),
                               detail::mutable_data_or_null<T>(dx),
                               sums};
    parallel_for(layout.n, samples,
                 [&](std::int64_t begin, std::int64_t end) { backward(begin, end, begin / samples); });
    if (sums == nullptr) return;
    T* to = dgamma.mutable_data<T>();
    for (std::int64_t c = 0; c < layout.c; ++c) {
      double sum = 0;
      for (std::int64_t part = 0; part < parts; ++part) sum += sums[part * layout.c + c];
      to[c] = static_cast<T>(sum);
    }
  });
}

}  // namespace

constinit decltype(kernel::group_norm) kernel::group_norm{&group_norm_cpu};
constinit decltype(kernel::group_norm_backward) kernel::group_norm_backward{&group_norm_backward_cpu};

}  // namespace retrace
