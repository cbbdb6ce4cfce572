// Batch normalisation. A block sums a part of a channel: some whole planes. A thread then adds the parts of
// each channel in their order, and the last pass goes over all elements, with the ReLU in it.
#include <retrace/core/data_or_null.h>
#include <retrace/core/kernels.h>
#include <retrace/cuda/gpu.h>
#include <retrace/cuda/install.h>

#include <cmath>

namespace retrace::cuda {

namespace {

using detail::data_or_null;
using detail::mutable_data_or_null;

constexpr std::int64_t kPart = 16384;  // elements of a part, or a plane
constexpr std::int64_t kMostParts = 64;

/// A tensor of [N, C, plane], and how its channels are cut into parts of whole planes: by its shape alone.
struct Layout {
  std::int64_t n, c, plane;
  std::int64_t images;  ///< of a part; the last one may have fewer
  std::int64_t parts;

  explicit Layout(const Shape& x)
      : n(x[0]),
        c(x[1]),
        plane(x.numel_after(1)),
        images(std::max({kPart / plane, ceil_div(n, kMostParts), std::int64_t{1}})),
        parts(ceil_div(n, images)) {}

  /// Elements of a channel.
  __device__ std::int64_t count() const { return n * plane; }
  __device__ std::int64_t images_of(std::int64_t part) const { return std::min(images, n - part * images); }
  __device__ std::int64_t elements_of(std::int64_t part) const { return images_of(part) * plane; }
  /// Where element i of a part of a channel is.
  __device__ std::int64_t at(std::int64_t channel, std::int64_t part, std::int64_t i) const {
    return ((part * images + i / plane) * c + channel) * plane + i % plane;
  }
};

/// Walks over neighbouring elements and knows their channel.
struct Walk {
  const Layout& layout;
  std::int64_t channel, offset;

  __device__ Walk(const Layout& of, std::int64_t i)
      : layout(of), channel(i / of.plane % of.c), offset(i % of.plane) {}
  __device__ void step() {
    if (++offset < layout.plane) return;
    offset = 0;
    channel = channel + 1 == layout.c ? 0 : channel + 1;
  }
};

struct TwoSums {
  double first, second;
  __device__ TwoSums operator+(const TwoSums& other) const {
    return {first + other.first, second + other.second};
  }
};

/// A part's moments in double from the start, for values whose squares or sum T does not hold.
template <class T>
__device__ TwoSums moments_in_double(const Layout& layout, const T* x, std::int64_t channel,
                                     std::int64_t part) {
  const std::int64_t count = layout.elements_of(part);
  double sum = 0;
  for (std::int64_t i = threadIdx.x; i < count; i += kThreads)
    sum += static_cast<double>(x[layout.at(channel, part, i)]);
  const double mean = block_sum<kThreads>(sum) / static_cast<double>(count);
  double squares = 0;
  for (std::int64_t i = threadIdx.x; i < count; i += kThreads) {
    const double d = static_cast<double>(x[layout.at(channel, part, i)]) - mean;
    squares += d * d;
  }
  return {mean, block_sum<kThreads>(squares)};
}

/// Of part b % parts of channel b / parts: its mean, and the sum of the squared distances from that. Terms
/// are taken around the mean of the part's first values, so that an offset of all of them costs no precision.
template <class T>
__global__ void moments_kernel(Layout layout, const T* x, TwoSums* moments) {
  const std::int64_t channel = blockIdx.x / layout.parts;
  const std::int64_t part = blockIdx.x % layout.parts;
  const std::int64_t count = layout.elements_of(part);
  const std::int64_t some = std::min<std::int64_t>(count, kThreads);
  const double first = threadIdx.x < some ? static_cast<double>(x[layout.at(channel, part, threadIdx.x)]) : 0;
  const T around = static_cast<T>(block_sum<kThreads>(first) / static_cast<double>(some));
  T sum = 0;
  T squares = 0;
  for (std::int64_t i = threadIdx.x; i < count; i += kThreads) {
    const T d = x[layout.at(channel, part, i)] - around;
    sum += d;
    squares += d * d;
  }
  const TwoSums total = block_sum<kThreads>(TwoSums{static_cast<double>(sum), static_cast<double>(squares)});
  const double offset = total.first / static_cast<double>(count);
  TwoSums of_part{static_cast<double>(around) + offset, total.second - offset * total.first};
  if (!std::isfinite(of_part.second)) of_part = moments_in_double(layout, x, channel, part);
  if (threadIdx.x == 0) moments[blockIdx.x] = of_part;
}

/// The parts' moments of each channel together: what the parts' means are away from the mean of all comes to
/// the squares.
template <class T>
__global__ void statistics_kernel(Layout layout, const TwoSums* moments, double momentum, double eps,
                                  T* running_mean, T* running_var, T* mean, T* rstd) {
  for (std::int64_t c = thread_index(); c < layout.c; c += thread_count()) {
    const TwoSums* parts = moments + c * layout.parts;
    const auto count = static_cast<double>(layout.count());
    double sum = 0;
    for (std::int64_t part = 0; part < layout.parts; ++part)
      sum += parts[part].first * static_cast<double>(layout.elements_of(part));
    const double batch_mean = sum / count;
    double squares = 0;
    for (std::int64_t part = 0; part < layout.parts; ++part) {
      const double apart = parts[part].first - batch_mean;
      squares += parts[part].second + apart * apart * static_cast<double>(layout.elements_of(part));
    }
    const double var = squares < 0 ? 0 : squares / count;  // a NaN stays one
    mean[c] = static_cast<T>(batch_mean);
    rstd[c] = static_cast<T>(1 / std::sqrt(var + eps));
    const auto move = [=](T& running, double batch) {
      running = static_cast<T>((1 - momentum) * static_cast<double>(running) + momentum * batch);
    };
    if (running_mean != nullptr) move(running_mean[c], batch_mean);
    if (running_var != nullptr) move(running_var[c], var * (count / (count - 1)));
  }
}

/// y = gamma (x - mean) rstd + beta, with `relu` max(that, 0), whose decisions go to `bits` unless it is
/// null. A thread takes the eight elements of a byte of the mask.
template <class T>
__global__ void normalize_kernel(Layout layout, const T* x, const T* mean, const T* rstd, const T* gamma,
                                 const T* beta, bool relu, T* y, std::uint8_t* bits) {
  const std::int64_t total = layout.n * layout.c * layout.plane;
  for (std::int64_t b = thread_index(); 8 * b < total; b += thread_count()) {
    Walk walk(layout, 8 * b);
    unsigned packed = 0;
    for (std::int64_t k = 0; k < 8 && 8 * b + k < total; ++k, walk.step()) {
      const std::int64_t c = walk.channel;
      const T v = (x[8 * b + k] - mean[c]) * (gamma[c] * rstd[c]) + beta[c];
      packed |= static_cast<unsigned>(!(v <= 0)) << k;
      y[8 * b + k] = relu && 0 > v ? T{0} : v;  // a NaN stays one
    }
    if (bits != nullptr) bits[b] = static_cast<std::uint8_t>(packed);
  }
}

template <class T>
__global__ void rstd_kernel(std::int64_t n, const T* var, double eps, T* rstd) {
  for (std::int64_t i = thread_index(); i < n; i += thread_count())
    rstd[i] = static_cast<T>(1 / std::sqrt(static_cast<double>(var[i]) + eps));
}

/// dy, or with a ReLU dy where its mask is set and else 0.
template <class T>
struct Incoming {
  const T* dy;
  const std::uint8_t* bits;
  __device__ T operator()(std::int64_t i) const {
    return bits == nullptr || (bits[i / 8] >> (i % 8) & 1) != 0 ? dy[i] : T{0};
  }
};

/// Of part b % parts of channel b / parts: sum dy and, unless x is null, sum dy (x - mean).
template <class T>
__global__ void backward_sums_kernel(Layout layout, Incoming<T> dy, const T* x, const T* mean,
                                     TwoSums* sums) {
  const std::int64_t channel = blockIdx.x / layout.parts;
  const std::int64_t part = blockIdx.x % layout.parts;
  T first = 0;
  T second = 0;
  for (std::int64_t i = threadIdx.x; i < layout.elements_of(part); i += kThreads) {
    const std::int64_t at = layout.at(channel, part, i);
    const T d = dy(at);
    first += d;
    if (x != nullptr) second += d * (x[at] - mean[channel]);
  }
  const TwoSums total = block_sum<kThreads>(TwoSums{static_cast<double>(first), static_cast<double>(second)});
  if (threadIdx.x == 0) sums[blockIdx.x] = total;
}

/// The parts' sums of each channel together, in the first part's place.
template <class T>
__global__ void backward_totals_kernel(Layout layout, const T* rstd, TwoSums* sums, T* dgamma, T* dbeta) {
  for (std::int64_t c = thread_index(); c < layout.c; c += thread_count()) {
    TwoSums& total = sums[c * layout.parts];
    for (std::int64_t part = 1; part < layout.parts; ++part) total = total + sums[c * layout.parts + part];
    if (dgamma != nullptr) dgamma[c] = static_cast<T>(total.second * static_cast<double>(rstd[c]));
    if (dbeta != nullptr) dbeta[c] = static_cast<T>(total.first);
  }
}

/// What a result is added to, or null, and +1 or -1.
template <class T>
struct Addend {
  const T* values;
  T sign;
  __device__ T with(std::int64_t i, T result) const {
    return values == nullptr ? result : values[i] + sign * result;  // which rounded before
  }
};

/// dx = the addend and gamma rstd (dy - sum dy / n - (x - mean) rstd^2 sum(dy (x - mean)) / n); where sums is
/// null, gamma rstd dy. dx may be dy.
template <class T>
__global__ void backward_kernel(Layout layout, Incoming<T> dy, const T* x, const T* gamma, const T* mean,
                                const T* rstd, const TwoSums* sums, Addend<T> addend, T* dx) {
  const std::int64_t total = layout.n * layout.c * layout.plane;
  for (std::int64_t i = thread_index(); i < total; i += thread_count()) {
    const std::int64_t c = i / layout.plane % layout.c;
    const T scale = gamma[c] * rstd[c];
    if (sums == nullptr) {
      dx[i] = addend.with(i, dy(i) * scale);
      continue;
    }
    const TwoSums& sum = sums[c * layout.parts];
    const double r = static_cast<double>(rstd[c]);
    const auto slope = static_cast<T>(r * (r * sum.second / static_cast<double>(layout.count())));
    const auto shift = static_cast<T>(sum.first / static_cast<double>(layout.count()));
    dx[i] = addend.with(i, scale * (dy(i) - shift - (x[i] - mean[c]) * slope));
  }
}

/// Scratch space for the sums of all parts.
Tensor sums_of(const Layout& layout, Device device) {
  return Tensor({layout.c * layout.parts, 2}, DType::f64, Tag::workspace, device);
}
TwoSums* sums_in(Tensor& workspace) { return reinterpret_cast<TwoSums*>(workspace.mutable_data<double>()); }

void batch_norm_normalize(const Tensor& x, const Tensor& mean, const Tensor& rstd, const Tensor& gamma,
                          const Tensor& beta, bool relu, Tensor& y, Tensor& mask) {
  visit_float("batch_norm", x.dtype(), [&]<class T>(TypeTag<T>) {
    launch(x.device(), blocks_for(ceil_div(x.numel(), 8)), kThreads, &normalize_kernel<T>, Layout(x.shape()),
           x.data<T>(), mean.data<T>(), rstd.data<T>(), gamma.data<T>(), beta.data<T>(), relu,
           y.mutable_data<T>(), mutable_data_or_null<std::uint8_t>(mask));
  });
}

void batch_norm_training(const Tensor& x, const Tensor& gamma, const Tensor& beta, double momentum,
                         double eps, bool relu, Tensor& running_mean, Tensor& running_var, Tensor& mean,
                         Tensor& rstd, Tensor& y, Tensor& mask) {
  const Layout layout(x.shape());
  Tensor moments = sums_of(layout, x.device());
  visit_float("batch_norm", x.dtype(), [&]<class T>(TypeTag<T>) {
    launch(x.device(), layout.c * layout.parts, kThreads, &moments_kernel<T>, layout, x.data<T>(),
           sums_in(moments));
    launch(x.device(), blocks_for(layout.c), kThreads, &statistics_kernel<T>, layout, sums_in(moments),
           momentum, eps, mutable_data_or_null<T>(running_mean), mutable_data_or_null<T>(running_var),
           mean.mutable_data<T>(), rstd.mutable_data<T>());
  });
  batch_norm_normalize(x, mean, rstd, gamma, beta, relu, y, mask);
}

void batch_norm_rstd(const Tensor& var, double eps, Tensor& rstd) {
  visit_float("batch_norm", var.dtype(), [&]<class T>(TypeTag<T>) {
    launch(var.device(), blocks_for(var.numel()), kThreads, &rstd_kernel<T>, var.numel(), var.data<T>(), eps,
           rstd.mutable_data<T>());
  });
}

void batch_norm_backward(const Tensor& dy, const Tensor& x, const Tensor& gamma, const Tensor& mean,
                         const Tensor& rstd, const Tensor& mask, bool training,
                         const kernel::Residual& residual, Tensor& dx, Tensor& dgamma, Tensor& dbeta) {
  const Layout layout(dy.shape());
  Tensor sums = sums_of(layout, dy.device());
  visit_float("batch_norm", dy.dtype(), [&]<class T>(TypeTag<T>) {
    const Incoming<T> incoming{dy.data<T>(), data_or_null<std::uint8_t>(mask)};
    if (training || dgamma.defined() || dbeta.defined()) {
      launch(dy.device(), layout.c * layout.parts, kThreads, &backward_sums_kernel<T>, layout, incoming,
             data_or_null<T>(x), mean.data<T>(), sums_in(sums));
      launch(dy.device(), blocks_for(layout.c), kThreads, &backward_totals_kernel<T>, layout, rstd.data<T>(),
             sums_in(sums), mutable_data_or_null<T>(dgamma), mutable_data_or_null<T>(dbeta));
    }
    if (dx.defined())
      launch(dy.device(), blocks_for(dy.numel()), kThreads, &backward_kernel<T>, layout, incoming,
             data_or_null<T>(x), gamma.data<T>(), mean.data<T>(), rstd.data<T>(),
             training ? sums_in(sums) : nullptr,
             Addend<T>{data_or_null<T>(residual.value), static_cast<T>(residual.sign)}, dx.mutable_data<T>());
  });
}

}  // namespace

void install_batch_norm() {
  kernel::batch_norm_training.install(DeviceKind::cuda, &batch_norm_training);
  kernel::batch_norm_normalize.install(DeviceKind::cuda, &batch_norm_normalize);
  kernel::batch_norm_rstd.install(DeviceKind::cuda, &batch_norm_rstd);
  kernel::batch_norm_backward.install(DeviceKind::cuda, &batch_norm_backward);
}

}  // namespace retrace::cuda
