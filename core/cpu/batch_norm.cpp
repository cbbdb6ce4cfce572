// Batch normalisation. A task takes a few whole channels, few enough that their planes stay in a core's
// cache: memory is read once although the result takes a second pass. A ReLU behind it goes with the same
// passes where planes are whole vectors and whole bytes of its mask; other shapes take its own kernels, with
// the same numbers.
#include <retrace/core/cpu/mask.h>
#include <retrace/core/cpu/parallel.h>
#include <retrace/core/cpu/sums.h>
#include <retrace/core/data_or_null.h>
#include <retrace/core/kernels.h>

#include <array>
#include <cmath>

namespace retrace {

namespace {

using detail::data_or_null;
using detail::mutable_data_or_null;

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

  /// Whether a plane is made of whole vectors and whole bytes of a mask.
  template <class T>
  bool has_mask_steps() const {
    return plane % cpu::kMaskStep<T> == 0;
  }

  /// Runs f(first channel, end channel) for the groups of channels, in parallel.
  template <class F>
  void for_each_group(const F& f) const {
    cpu::parallel_for(c, group, f);
  }

  /// Calls f(offset of a plane, of the same one in the next image, its channel) for the planes of some
  /// channels, in the order of memory. The next ones are far away, and come late unless they are asked for.
  template <class F>
  void for_each_plane(std::int64_t begin, std::int64_t end, const F& f) const {
    for (std::int64_t i = 0; i < n; ++i)
      for (std::int64_t channel = begin; channel < end; ++channel)
        f((i * c + channel) * plane, (std::min(i + 1, n - 1) * c + channel) * plane, channel);
  }
  /// The same from the last image to the first: what a pass in order has left in the cache comes first.
  template <class F>
  void for_each_plane_back(std::int64_t begin, std::int64_t end, const F& f) const {
    for (std::int64_t i = n - 1; i >= 0; --i)
      for (std::int64_t channel = begin; channel < end; ++channel)
        f((i * c + channel) * plane, (std::max<std::int64_t>(i - 1, 0) * c + channel) * plane, channel);
  }

  std::int64_t n, c, plane, group;
};

template <class T>
using GroupSums = std::array<cpu::RunningSums<T>, kMostChannels>;
using GroupMoments = std::array<Moments, kMostChannels>;

/// Of channels [begin, end), in one pass around the mean m of a channel's first K planes, 256 values or more.
/// They are among its N planes, so (mean - m)^2 is at most N / K variances: that is the factor by which
/// rounding grows where the first images are the most unlike the others. An offset of all images costs
/// nothing.
template <class T>
void statistics(const Layout& layout, const T* x, std::int64_t begin, std::int64_t end,
                GroupMoments& result) {
  Layout first = layout;
  first.n = std::clamp<std::int64_t>(256 / layout.plane, 1, layout.n);
  GroupSums<T> sums{};
  first.for_each_plane(begin, end, [&](std::int64_t offset, std::int64_t, std::int64_t channel) {
    sums[static_cast<std::size_t>(channel - begin)].add(
        layout.plane, [x = x + offset](auto at, auto& s, auto&) { s += at(x); });
  });
  std::array<T, kMostChannels> around{};
  for (std::size_t k = 0; k < static_cast<std::size_t>(end - begin); ++k)
    around[k] = static_cast<T>(sums[k].total().first / first.count());
  GroupSums<T> centered{};
  layout.for_each_plane(begin, end, [&](std::int64_t offset, std::int64_t next, std::int64_t channel) {
    const auto k = static_cast<std::size_t>(channel - begin);
    centered[k].add(layout.plane,
                    [x = x + offset, next = x + next, m = around[k]](auto at, auto& s, auto& q) {
                      at.fetch(next);
                      const auto d = at(x) - m;
                      s += d;
                      q += d * d;
                    });
  });
  for (std::int64_t channel = begin; channel < end; ++channel) {
    const auto k = static_cast<std::size_t>(channel - begin);
    result[k] = cpu::moments_around(static_cast<double>(around[k]), centered[k].total(), layout.count());
    if (result[k].finite()) continue;
    const auto for_each_value = [&](const auto& f) {
      layout.for_each_plane(channel, channel + 1, [&](std::int64_t offset, std::int64_t, std::int64_t) {
        for (std::int64_t i = offset; i < offset + layout.plane; ++i) f(x[i]);
      });
    };
    result[k] = cpu::moments_in_double(for_each_value, layout.count());
  }
}

/// to[i] = f(i) for a plane of n, where f takes an At of a vector or of an element.
template <class T, class F>
void map_plane(std::int64_t n, T* to, const F& f) {
  std::int64_t i = 0;
  for (; i + cpu::kLanes<T> <= n; i += cpu::kLanes<T>) cpu::store(to + i, f(cpu::VectorAt<T>{i}));
  for (; i < n; ++i) to[i] = f(cpu::ElementAt<T>{i});
}

/// The same with a ReLU behind it: to[i] = max(f(i), 0), a NaN stays one. The decisions of kernel::relu go to
/// `bits` unless it is null. n is a multiple of kMaskStep.
template <class T, class F>
void map_plane_relu(std::int64_t n, T* to, std::uint8_t* bits, const F& f) {
  constexpr int kVectors = cpu::kMaskStep<T> / cpu::kLanes<T>;
  for (std::int64_t i = 0; i < n; i += cpu::kMaskStep<T>) {
    cpu::Vec<T> v[kVectors];
#pragma GCC unroll 4
    for (int k = 0; k < kVectors; ++k) {
      const std::int64_t at = i + k * cpu::kLanes<T>;
      v[k] = f(cpu::VectorAt<T>{at});
      cpu::store(to + at, cpu::Vec<T>{} > v[k] ? cpu::Vec<T>{} : v[k]);
    }
    if (bits != nullptr) cpu::write_passing<T>(v, bits + i / 8);
  }
}

/// What y = gamma (x - mean) rstd + beta is made of, and the ReLU behind it.
template <class T>
struct Normalize {
  Layout layout;
  const T *x, *mean, *rstd, *gamma, *beta;
  bool relu;
  T* y;
  std::uint8_t* bits;

  void operator()(std::int64_t begin, std::int64_t end) const {
    layout.for_each_plane_back(begin, end, [&](std::int64_t offset, std::int64_t next, std::int64_t c) {
      const auto value = [v = x + offset, next = y + next, m = mean[c], scale = gamma[c] * rstd[c],
                          shift = beta[c]](auto at) {
        at.fetch_to_write(next);
        return (at(v) - m) * scale + shift;
      };
      if (relu)
        map_plane_relu(layout.plane, y + offset, bits == nullptr ? nullptr : bits + offset / 8, value);
      else
        map_plane(layout.plane, y + offset, value);
    });
  }
};

/// Runs f(relu, mask) with the ReLU that y gets in the same pass; that of other shapes comes afterwards.
template <class T, class F>
void with_relu(bool relu, Tensor& y, Tensor& mask, const F& f) {
  const bool apart = relu && !Layout(y.shape()).has_mask_steps<T>();
  Tensor none;
  f(relu && !apart, apart ? none : mask);
  if (apart) kernel::relu(y, y, mask);
}

template <class T>
void training(const Tensor& x, const Tensor& gamma, const Tensor& beta, double momentum, double eps,
              bool relu, Tensor& running_mean, Tensor& running_var, Tensor& mean, Tensor& rstd, Tensor& y,
              Tensor& mask) {
  T* means = mean.mutable_data<T>();
  T* rstds = rstd.mutable_data<T>();
  T* running_means = mutable_data_or_null<T>(running_mean);
  T* running_vars = mutable_data_or_null<T>(running_var);
  const Normalize<T> normalize{Layout(x.shape()),
                               x.data<T>(),
                               means,
                               rstds,
                               gamma.data<T>(),
                               beta.data<T>(),
                               relu,
                               y.mutable_data<T>(),
                               mutable_data_or_null<std::uint8_t>(mask)};
  const Layout& layout = normalize.layout;
  const double unbiased = layout.count() / (layout.count() - 1);
  const auto move = [=](T& running, double batch) {
    running = static_cast<T>((1 - momentum) * static_cast<double>(running) + momentum * batch);
  };
  layout.for_each_group([=, &normalize](std::int64_t begin, std::int64_t end) {
    GroupMoments moments;
    statistics(normalize.layout, normalize.x, begin, end, moments);
    for (std::int64_t c = begin; c < end; ++c) {
      const auto& [batch_mean, batch_var] = moments[static_cast<std::size_t>(c - begin)];
      means[c] = static_cast<T>(batch_mean);
      rstds[c] = static_cast<T>(1 / std::sqrt(batch_var + eps));
      if (running_means != nullptr) move(running_means[c], batch_mean);
      if (running_vars != nullptr) move(running_vars[c], batch_var * unbiased);
    }
    normalize(begin, end);
  });
}

/// dy, or with a ReLU dy where its mask is set and else 0.
template <bool kRelu, class T>
struct Incoming {
  const T* dy;
  const std::uint8_t* bits;

  auto operator()(auto at) const {
    if constexpr (kRelu)
      return cpu::pass<T>(bits, at.i, at(dy));
    else
      return at(dy);
  }
};

/// What the gradient of one batch norm is made of. x may be null where it is not needed.
template <bool kRelu, class T>
struct Backward {
  using Sums = std::array<TwoSums, kMostChannels>;

  Layout layout;
  const T *dy, *x, *gamma, *mean, *rstd;
  const std::uint8_t* bits;
  bool training;
  const T* residual;  ///< may be null
  T sign;
  T *dx, *dgamma, *dbeta;

  Incoming<kRelu, T> incoming(std::int64_t offset) const {
    return {dy + offset, kRelu ? bits + offset / 8 : nullptr};
  }

  /// sum dy in .first, sum dy (x - mean) in .second.
  void sum(std::int64_t begin, std::int64_t end, Sums& result) const {
    GroupSums<T> sums{};
    layout.for_each_plane(begin, end, [&](std::int64_t offset, std::int64_t next, std::int64_t c) {
      auto& sum = sums[static_cast<std::size_t>(c - begin)];
      const auto d = incoming(offset);
      if (x == nullptr)
        sum.add(layout.plane, [d](auto at, auto& s, auto&) { s += d(at); });
      else
        sum.add(layout.plane, [=, d_next = dy + next, v = x + offset, v_next = x + next, m = mean[c]](
                                  auto at, auto& s, auto& t) {
          at.fetch(d_next);
          at.fetch(v_next);
          const auto e = d(at);
          s += e;
          t += e * (at(v) - m);
        });
    });
    for (std::size_t k = 0; k < static_cast<std::size_t>(end - begin); ++k) result[k] = sums[k].total();
  }

  /// dx = the residual and gamma rstd (dy - sum dy / n - (x - mean) rstd^2 sum(dy (x - mean)) / n); in
  /// evaluation gamma rstd dy.
  void differentiate(std::int64_t begin, std::int64_t end, const Sums& sums) const {
    layout.for_each_plane_back(begin, end, [&](std::int64_t offset, std::int64_t next, std::int64_t c) {
      const auto d = incoming(offset);
      const T scale = gamma[c] * rstd[c];
      const auto write = [&](const auto& f) {
        if (residual == nullptr) return map_plane(layout.plane, dx + offset, f);
        map_plane(layout.plane, dx + offset,
                  [f, r = residual + offset, r_next = residual + next, to_add = sign](auto at) {
                    at.fetch(r_next);
                    return at(r) + to_add * f(at);  // f rounds before it is added
                  });
      };
      if (!training) {
        write([=](auto at) { return d(at) * scale; });
        return;
      }
      const TwoSums& sum = sums[static_cast<std::size_t>(c - begin)];
      const double r = static_cast<double>(rstd[c]);
      const T slope = static_cast<T>(r * (r * sum.second / layout.count()));
      const T shift = static_cast<T>(sum.first / layout.count());
      write([=, v = x + offset, to = dx + next, m = mean[c]](auto at) {
        at.fetch_to_write(to);
        return scale * (d(at) - shift - (at(v) - m) * slope);
      });
    });
  }

  void operator()(std::int64_t begin, std::int64_t end) const {
    Sums sums{};
    if (training || dgamma != nullptr || dbeta != nullptr) sum(begin, end, sums);
    for (std::int64_t c = begin; c < end; ++c) {
      const TwoSums& sum = sums[static_cast<std::size_t>(c - begin)];
      if (dgamma != nullptr) dgamma[c] = static_cast<T>(sum.second * static_cast<double>(rstd[c]));
      if (dbeta != nullptr) dbeta[c] = static_cast<T>(sum.first);
    }
    if (dx != nullptr) differentiate(begin, end, sums);
  }
};

void batch_norm_training_cpu(const Tensor& x, const Tensor& gamma, const Tensor& beta, double momentum,
                             double eps, bool relu, Tensor& running_mean, Tensor& running_var, Tensor& mean,
                             Tensor& rstd, Tensor& y, Tensor& mask) {
  visit_float("batch_norm", x.dtype(), [&]<class T>(TypeTag<T>) {
    with_relu<T>(relu, y, mask, [&](bool now, Tensor& bits) {
      training<T>(x, gamma, beta, momentum, eps, now, running_mean, running_var, mean, rstd, y, bits);
    });
  });
}

void batch_norm_normalize_cpu(const Tensor& x, const Tensor& mean, const Tensor& rstd, const Tensor& gamma,
                              const Tensor& beta, bool relu, Tensor& y, Tensor& mask) {
  visit_float("batch_norm", x.dtype(), [&]<class T>(TypeTag<T>) {
    with_relu<T>(relu, y, mask, [&](bool now, Tensor& bits) {
      const Normalize<T> normalize{Layout(x.shape()),
                                   x.data<T>(),
                                   mean.data<T>(),
                                   rstd.data<T>(),
                                   gamma.data<T>(),
                                   beta.data<T>(),
                                   now,
                                   y.mutable_data<T>(),
                                   mutable_data_or_null<std::uint8_t>(bits)};
      normalize.layout.for_each_group(normalize);
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

template <bool kRelu, class T>
void backward(const Tensor& dy, const Tensor& x, const Tensor& gamma, const Tensor& mean, const Tensor& rstd,
              const Tensor& mask, bool training, const kernel::Residual& residual, Tensor& dx, Tensor& dgamma,
              Tensor& dbeta) {
  const Backward<kRelu, T> backward{Layout(dy.shape()),
                                    dy.data<T>(),
                                    data_or_null<T>(x),
                                    data_or_null<T>(gamma),
                                    mean.data<T>(),
                                    rstd.data<T>(),
                                    data_or_null<std::uint8_t>(mask),
                                    training,
                                    data_or_null<T>(residual.value),
                                    static_cast<T>(residual.sign),
                                    mutable_data_or_null<T>(dx),
                                    mutable_data_or_null<T>(dgamma),
                                    mutable_data_or_null<T>(dbeta)};
  backward.layout.for_each_group(backward);
}

void batch_norm_backward_cpu(const Tensor& dy, const Tensor& x, const Tensor& gamma, const Tensor& mean,
                             const Tensor& rstd, const Tensor& mask, bool training,
                             const kernel::Residual& residual, Tensor& dx, Tensor& dgamma, Tensor& dbeta) {
  visit_float("batch_norm", dy.dtype(), [&]<class T>(TypeTag<T>) {
    if (!mask.defined()) {
      backward<false, T>(dy, x, gamma, mean, rstd, mask, training, residual, dx, dgamma, dbeta);
    } else if (Layout(dy.shape()).has_mask_steps<T>()) {
      backward<true, T>(dy, x, gamma, mean, rstd, mask, training, residual, dx, dgamma, dbeta);
    } else {
      const bool in_place = dx.defined() && !residual.value.shares_storage(dx);
      Tensor masked = in_place ? dx : like(dy, Tag::workspace);
      kernel::masked_backward(mask, dy, masked);
      backward<false, T>(masked, x, gamma, mean, rstd, mask, training, residual, dx, dgamma, dbeta);
    }
  });
}

}  // namespace

constinit decltype(kernel::batch_norm_training) kernel::batch_norm_training{&batch_norm_training_cpu};
constinit decltype(kernel::batch_norm_normalize) kernel::batch_norm_normalize{&batch_norm_normalize_cpu};
constinit decltype(kernel::batch_norm_rstd) kernel::batch_norm_rstd{&batch_norm_rstd_cpu};
constinit decltype(kernel::batch_norm_backward) kernel::batch_norm_backward{&batch_norm_backward_cpu};

}  // namespace retrace
