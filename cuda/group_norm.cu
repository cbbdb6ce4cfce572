// Group normalisation, which is layer normalisation where a sample is one group and a channel one value. A
// team takes a group, which lies in one piece; sums run in double.
#include <retrace/core/data_or_null.h>
#include <retrace/core/kernels.h>
#include <retrace/cuda/install.h>
#include <retrace/cuda/team.h>

#include <algorithm>
#include <cmath>

namespace retrace::cuda {

namespace {

// How dgamma's terms are cut into parts: how many samples one has at least, and how many parts there are at
// most.
constexpr std::int64_t kLeastSamples = 16;
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

  std::int64_t n, c, plane, groups;
  std::int64_t channels;  // of a group
  std::int64_t size;      // values of a group

  __device__ std::int64_t all_groups() const { return n * groups; }
  /// The channel of value i of a group.
  __device__ std::int64_t channel(std::int64_t group, std::int64_t i) const {
    return group % groups * channels + i / plane;
  }
};

/// A number for each channel, or the same for all where there is no tensor.
template <class T>
struct PerChannel {
  const T* values;
  T otherwise;

  PerChannel(const Tensor& x, T constant) : values(detail::data_or_null<T>(x)), otherwise(constant) {}
  __device__ T operator[](std::int64_t c) const { return values == nullptr ? otherwise : values[c]; }
};

/// y = gamma (x - mean) rstd + beta
template <class Team, class T>
__global__ void group_norm_kernel(Layout layout, double eps, const T* x, PerChannel<T> gamma,
                                  PerChannel<T> beta, T* means, T* rstds, T* y) {
  const auto count = static_cast<double>(layout.size);
  for (auto g = Team::first_item(); g < layout.all_groups(); g += Team::item_step()) {
    const T* from = x + g * layout.size;
    double sum = 0;
    for (auto i = Team::rank(); i < layout.size; i += Team::kSize) sum += static_cast<double>(from[i]);
    const double exact = Team::sum(sum) / count;
    double squares = 0;
    for (auto i = Team::rank(); i < layout.size; i += Team::kSize) {
      const double d = static_cast<double>(from[i]) - exact;
      squares += d * d;
    }
    const auto mean = static_cast<T>(exact);
    const auto rstd = static_cast<T>(1 / std::sqrt(Team::sum(squares) / count + eps));
    for (auto i = Team::rank(); i < layout.size; i += Team::kSize) {
      const std::int64_t c = layout.channel(g, i);
      y[g * layout.size + i] = (from[i] - mean) * (gamma[c] * rstd) + beta[c];
    }
    if (Team::rank() > 0) continue;
    means[g] = mean;
    rstds[g] = rstd;
  }
}

/// What the gradients are made of.
template <class T>
struct Backward {
  const T *dy, *x;
  PerChannel<T> gamma;
  const T *mean, *rstd;
};

/// dx = rstd (gamma dy - sum(gamma dy) / n - (x - mean) rstd^2 sum(gamma dy (x - mean)) / n). In double, in
/// which products of f32 are exact: what cancels does so to the last digit.
template <class Team, class T>
__global__ void backward_kernel(Layout layout, Backward<T> of, T* dx) {
  const auto count = static_cast<double>(layout.size);
  for (auto g = Team::first_item(); g < layout.all_groups(); g += Team::item_step()) {
    const T* dy = of.dy + g * layout.size;
    const T* x = of.x + g * layout.size;
    const T mean = of.mean[g];
    const T rstd = of.rstd[g];
    double sum = 0;
    double product = 0;
    for (auto i = Team::rank(); i < layout.size; i += Team::kSize) {
      const double e = static_cast<double>(of.gamma[layout.channel(g, i)]) * static_cast<double>(dy[i]);
      sum += e;
      product += e * static_cast<double>(x[i] - mean);
    }
    const auto r = static_cast<double>(rstd);
    const double shift = Team::sum(sum) / count;
    const double slope = r * (r * Team::sum(product) / count);
    for (auto i = Team::rank(); i < layout.size; i += Team::kSize) {
      const double e = static_cast<double>(of.gamma[layout.channel(g, i)]) * static_cast<double>(dy[i]);
      dx[g * layout.size + i] = static_cast<T>(r * (e - shift - static_cast<double>(x[i] - mean) * slope));
    }
  }
}

/// sums[part][c] = the sum of dy (x - mean) rstd over `samples` samples
template <class Team, class T>
__global__ void dgamma_kernel(Layout layout, Backward<T> of, std::int64_t samples, std::int64_t parts,
                              double* sums) {
  for (auto item = Team::first_item(); item < parts * layout.c; item += Team::item_step()) {
    const std::int64_t c = item % layout.c;
    const std::int64_t begin = item / layout.c * samples;
    const std::int64_t terms = (std::min(layout.n, begin + samples) - begin) * layout.plane;
    double sum = 0;
    for (auto k = Team::rank(); k < terms; k += Team::kSize) {
      const std::int64_t sample = begin + k / layout.plane;
      const std::int64_t g = sample * layout.groups + c / layout.channels;
      const std::int64_t i = (sample * layout.c + c) * layout.plane + k % layout.plane;
      sum += static_cast<double>(of.dy[i]) * static_cast<double>(of.x[i] - of.mean[g]) *
             static_cast<double>(of.rstd[g]);
    }
    sum = Team::sum(sum);
    if (Team::rank() == 0) sums[item] = sum;
  }
}

/// y[c] = the sum of the parts
template <class T>
__global__ void add_parts_kernel(std::int64_t channels, std::int64_t parts, const double* sums, T* y) {
  for (std::int64_t c = thread_index(); c < channels; c += thread_count()) {
    double sum = 0;
    for (std::int64_t part = 0; part < parts; ++part) sum += sums[part * channels + c];
    y[c] = static_cast<T>(sum);
  }
}

void group_norm(const Tensor& x, const Tensor& gamma, const Tensor& beta, std::int64_t groups, double eps,
                Tensor& mean, Tensor& rstd, Tensor& y) {
  const Layout layout(x.shape(), groups);
  visit_float("group_norm", x.dtype(), [&]<class T>(TypeTag<T>) {
    with_team(layout.size, true, [&]<class Team>(Team) {
      launch(x.device(), Team::blocks_for(mean.numel()), kThreads, &group_norm_kernel<Team, T>, layout, eps,
             x.data<T>(), PerChannel<T>(gamma, 1), PerChannel<T>(beta, 0), mean.mutable_data<T>(),
             rstd.mutable_data<T>(), y.mutable_data<T>());
    });
  });
}

template <class T>
void write_dgamma(Device device, const Layout& layout, const Backward<T>& of, Tensor& dgamma) {
  const std::int64_t samples = std::max(kLeastSamples, ceil_div(layout.n, kMostParts));
  const std::int64_t parts = ceil_div(layout.n, samples);
  Tensor sums({parts, layout.c}, DType::f64, Tag::workspace, device);
  with_team(layout.plane, true, [&]<class Team>(Team) {
    launch(device, Team::blocks_for(sums.numel()), kThreads, &dgamma_kernel<Team, T>, layout, of, samples,
           parts, sums.mutable_data<double>());
  });
  launch(device, blocks_for(layout.c), kThreads, &add_parts_kernel<T>, layout.c, parts, sums.data<double>(),
         dgamma.mutable_data<T>());
}

void group_norm_backward(const Tensor& dy, const Tensor& x, const Tensor& gamma, const Tensor& mean,
                         const Tensor& rstd, std::int64_t groups, Tensor& dx, Tensor& dgamma) {
  const Layout layout(x.shape(), groups);
  visit_float("group_norm", x.dtype(), [&]<class T>(TypeTag<T>) {
    const Backward<T> of{dy.data<T>(), x.data<T>(), PerChannel<T>(gamma, 1), mean.data<T>(), rstd.data<T>()};
    if (dgamma.defined()) write_dgamma(x.device(), layout, of, dgamma);
    if (!dx.defined()) return;
    with_team(layout.size, true, [&]<class Team>(Team) {
      launch(x.device(), Team::blocks_for(mean.numel()), kThreads, &backward_kernel<Team, T>, layout, of,
             dx.mutable_data<T>());
    });
  });
}

}  // namespace

void install_group_norm() {
  kernel::group_norm.install(DeviceKind::cuda, &group_norm);
  kernel::group_norm_backward.install(DeviceKind::cuda, &group_norm_backward);
}

}  // namespace retrace::cuda
