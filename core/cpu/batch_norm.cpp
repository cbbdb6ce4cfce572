// Batch normalisation. A task takes a few whole channels, few enough that their planes stay in a core's
// cache: memory is read once although the variance takes a second pass (with the exact mean) and the result a
// third.
#include <retrace/core/cpu/parallel.h>
#include <retrace/core/cpu/sums.h>
#include <retrace/core/kernels.h>

#include <array>
#include <cmath>

namespace retrace {

namespace {

using cpu::add_terms;
using cpu::Moments;
using cpu::TwoSums;

constexpr std::int64_t kMostChannels = 64;

/// A tensor of [N, C, plane] and how its channels are shared out to tasks.
struct Layout {
  explicit Layout(const Shape& x)
      : n(x[0]),
        c(x[1]),
        plane(x.numel_after(1)),
        group(std::min(c, std::clamp<std::int64_t>(1024 / plane, 1, kMostChannels))) {}

  /// The number of values of a channel.
  double count() const { return static_cast<double>(n * plane); }

  /// Runs f(first channel, end channel) for the groups of channels, in parallel.
  template <class F>
  void for_each_group(const F& f) const {
    cpu::parallel_for(c, group, f);
  }

  /// Calls f(offset of a plane, its channel) for the planes of some channels, in the order of memory.
  template <class F>
  void for_each_plane(std::int64_t begin, std::int64_t end, const F& f) const {
    for (std::int64_t i = 0; i < n; ++i)
      for (std::int64_t channel = begin; channel < end; ++channel) f((i * c + channel) * plane, channel);
  }

  std::int64_t n, c, plane, group;
};

using GroupSums = std::array<TwoSums, kMostChannels>;
using GroupMoments = std::array<Moments, kMostChannels>;

/// Of channels [begin, end).
template <class T>
void statistics(const Layout& layout, const T* x, std::int64_t begin, std::int64_t end,
                GroupMoments& result) {
  GroupSums sums{};
  layout.for_each_plane(begin, end, [&](std::int64_t offset, std::int64_t channel) {
    add_terms<T>(layout.plane, sums[static_cast<std::size_t>(channel - begin)],
                 [x = x + offset](auto at, auto& sum, auto&) { sum += at(x); });
  });
  GroupSums centered{};
  layout.for_each_plane(begin, end, [&](std::int64_t offset, std::int64_t channel) {
    const auto k = static_cast<std::size_t>(channel - begin);
    add_terms<T>(
        layout.plane, centered[k],
        [x = x + offset, mean = static_cast<T>(sums[k].first / layout.count())](auto at, auto& s, auto& q) {
          const auto d = at(x) - mean;
          s += d;
          q += d * d;
        });
  });
  for (std::int64_t channel = begin; channel < end; ++channel) {
    const auto k = static_cast<std::size_t>(channel - begin);
    const double rounded = static_cast<double>(static_cast<T>(sums[k].first / layout.count()));
    result[k] = cpu::moments_around(rounded, centered[k], layout.count());
  }
}

/// y = scale (x - mean) + shift on one plane.
template <class T>
void normalize_plane(std::int64_t n, const T* x, T mean, T scale, T shift, T* y) {
  for (std::int64_t i = 0; i < n; ++i) y[i] = (x[i] - mean) * scale + shift;
}

/// dx = scale (dy - shift - (x - mean) slope) on one plane.
template <class T>
void differentiate_plane(std::int64_t n, const T* dy, const T* x, T mean, T scale, T shift, T slope, T* dx) {
  for (std::int64_t i = 0; i < n; ++i) dx[i] = scale * (dy[i] - shift - (x[i] - mean) * slope);
}

template <class T>
void normalize_channels(const Layout& layout, const T* x, const T* mean, const T* rstd, const T* gamma,
                        const T* beta, std::int64_t begin, std::int64_t end, T* y) {
  layout.for_each_plane(begin, end, [=](std::int64_t offset, std::int64_t c) {
    normalize_plane(layout.plane, x + offset, mean[c], gamma[c] * rstd[c], beta[c], y + offset);
  });
}

template <class T>
void training(const Tensor& x, const Tensor& gamma, const Tensor& beta, double momentum, double eps,
              Tensor& running_mean, Tensor& running_var, Tensor& mean, Tensor& rstd, Tensor& y) {
  const Layout layout(x.shape());
  const T* from = x.data<T>();
  const T* scale = gamma.data<T>();
  const T* shift = beta.data<T>();
  T* means = mean.mutable_data<T>();
  T* rstds = rstd.mutable_data<T>();
  T* running_means = running_mean.defined() ? running_mean.mutable_data<T>() : nullptr;
  T* running_vars = running_var.defined() ? running_var.mutable_data<T>() : nullptr;
  T* to = y.mutable_data<T>();
  const double unbiased = layout.count() / (layout.count() - 1);
  const auto move = [=](T& running, double batch) {
    running = static_cast<T>((1 - momentum) * static_cast<double>(running) + momentum * batch);
  };
  layout.for_each_group([=](std::int64_t begin, std::int64_t end) {
    GroupMoments moments;
    statistics(layout, from, begin, end, moments);
    for (std::int64_t c = begin; c < end; ++c) {
      const auto& [batch_mean, batch_var] = moments[static_cast<std::size_t>(c - begin)];
      means[c] = static_cast<T>(batch_mean);
      rstds[c] = static_cast<T>(1 / std::sqrt(batch_var + eps));
      if (running_means != nullptr) move(running_means[c], batch_mean);
      if (running_vars != nullptr) move(running_vars[c], batch_var * unbiased);
    }
    normalize_channels(layout, from, means, rstds, scale, shift, begin, end, to);
  });
}

/// What the gradient of one batch norm is made of. x may be null where it is not needed.
template <class T>
struct Backward {
  Layout layout;
  const T *dy, *x, *gamma, *mean, *rstd;
  bool training;
  T *dx, *dgamma, *dbeta;

  /// sum dy in .first, sum dy (x - mean) in .second.
  void sum(std::int64_t begin, std::int64_t end, GroupSums& sums) const {
    layout.for_each_plane(begin, end, [&](std::int64_t offset, std::int64_t c) {
      TwoSums& sum = sums[static_cast<std::size_t>(c - begin)];
      const T* d = dy + offset;
      if (x == nullptr)
        add_terms<T>(layout.plane, sum, [d](auto at, auto& s, auto&) { s += at(d); });
      else
        add_terms<T>(layout.plane, sum, [d, v = x + offset, m = mean[c]](auto at, auto& s, auto& t) {
          const auto e = at(d);
          s += e;
          t += e * (at(v) - m);
        });
    });
  }

  /// dx = gamma rstd (dy - sum dy / n - (x - mean) rstd^2 sum(dy (x - mean)) / n); in evaluation gamma rstd
  /// dy.
  void differentiate(std::int64_t begin, std::int64_t end, const GroupSums& sums) const {
    layout.for_each_plane(begin, end, [&](std::int64_t offset, std::int64_t c) {
      const T scale = gamma[c] * rstd[c];
      if (!training) {
        for (std::int64_t i = 0; i < layout.plane; ++i) dx[offset + i] = dy[offset + i] * scale;
        return;
      }
      const TwoSums& sum = sums[static_cast<std::size_t>(c - begin)];
      const double r = static_cast<double>(rstd[c]);
      const T slope = static_cast<T>(r * r * sum.second / layout.count());
      const T shift = static_cast<T>(sum.first / layout.count());
      differentiate_plane(layout.plane, dy + offset, x + offset, mean[c], scale, shift, slope, dx + offset);
    });
  }

  void operator()(std::int64_t begin, std::int64_t end) const {
    GroupSums sums{};
    if (training || dgamma != nullptr || dbeta != nullptr) sum(begin, end, sums);
    for (std::int64_t c = begin; c < end; ++c) {
      const TwoSums& sum = sums[static_cast<std::size_t>(c - begin)];
      if (dgamma != nullptr) dgamma[c] = static_cast<T>(sum.second * static_cast<double>(rstd[c]));
      if (dbeta != nullptr) dbeta[c] = static_cast<T>(sum.first);
    }
    if (dx != nullptr) differentiate(begin, end, sums);
  }
};

template <class T>
const T* data_or_null(const Tensor& x) {
  return x.defined() ? x.data<T>() : nullptr;
}
template <class T>
T* mutable_data_or_null(Tensor& x) {
  return x.defined() ? x.mutable_data<T>() : nullptr;
}

void batch_norm_training_cpu(const Tensor& x, const Tensor& gamma, const Tensor& beta, double momentum,
                             double eps, Tensor& running_mean, Tensor& running_var, Tensor& mean,
                             Tensor& rstd, Tensor& y) {
  visit_float("batch_norm", x.dtype(), [&]<class T>(TypeTag<T>) {
    training<T>(x, gamma, beta, momentum, eps, running_mean, running_var, mean, rstd, y);
  });
}

void batch_norm_normalize_cpu(const Tensor& x, const Tensor& mean, const Tensor& rstd, const Tensor& gamma,
                              const Tensor& beta, Tensor& y) {
  visit_float("batch_norm", x.dtype(), [&]<class T>(TypeTag<T>) {
    const Layout layout(x.shape());
    layout.for_each_group([=, x = x.data<T>(), mean = mean.data<T>(), rstd = rstd.data<T>(),
                           gamma = gamma.data<T>(), beta = beta.data<T>(),
                           y = y.mutable_data<T>()](std::int64_t begin, std::int64_t end) {
      normalize_channels(layout, x, mean, rstd, gamma, beta, begin, end, y);
    });
  });
}

void batch_norm_rstd_cpu(const Tensor& var, double eps, Tensor& rstd) {
  visit_float("batch_norm", var.dtype(), [&]<class T>(TypeTag<T>) {
    std::ranges::transform(var.values<T>(), rstd.mutable_data<T>(), [eps](T v) {
      return static_cast<T>(1 / std::sqrt(static_cast<double>(v) + eps));
    });
  });
}

void batch_norm_backward_cpu(const Tensor& dy, const Tensor& x, const Tensor& gamma, const Tensor& mean,
                             const Tensor& rstd, bool training, Tensor& dx, Tensor& dgamma, Tensor& dbeta) {
  visit_float("batch_norm", dy.dtype(), [&]<class T>(TypeTag<T>) {
    const Backward<T> backward{Layout(dy.shape()),
                               dy.data<T>(),
                               data_or_null<T>(x),
                               data_or_null<T>(gamma),
                               mean.data<T>(),
                               rstd.data<T>(),
                               training,
                               mutable_data_or_null<T>(dx),
                               mutable_data_or_null<T>(dgamma),
                               mutable_data_or_null<T>(dbeta)};
    backward.layout.for_each_group(backward);
  });
}

}  // namespace

constinit decltype(kernel::batch_norm_training) kernel::batch_norm_training{&batch_norm_training_cpu};
constinit decltype(kernel::batch_norm_normalize) kernel::batch_norm_normalize{&batch_norm_normalize_cpu};
constinit decltype(kernel::batch_norm_rstd) kernel::batch_norm_rstd{&batch_norm_rstd_cpu};
constinit decltype(kernel::batch_norm_backward) kernel::batch_norm_backward{&batch_norm_backward_cpu};

}  // namespace retrace
