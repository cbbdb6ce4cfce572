#include <retrace/core/data_or_null.h>
#include <retrace/core/kernels.h>
#include <retrace/cuda/install.h>
#include <retrace/cuda/line.h>

#include <algorithm>

namespace retrace::cuda {

namespace {

/// The loss of a row is a weighted sum of log sum exp - x_c: with (1 - smoothing) w_label at the label, and
/// smoothing / C w_c at each class. A team computes a row.
template <class T>
struct CrossEntropy {
  const T* logits;
  const std::int64_t* labels;
  const T* weights;  // of the classes; null: 1
  double smoothing;
  std::int64_t ignored;
  std::int64_t rows;
  std::int64_t classes;

  CrossEntropy(const Tensor& x, const Tensor& label, const Tensor& weight, double label_smoothing,
               std::int64_t ignore_index)
      : logits(x.data<T>()),
        labels(label.data<std::int64_t>()),
        weights(detail::data_or_null<T>(weight)),
        smoothing(label_smoothing),
        ignored(ignore_index),
        rows(x.shape()[0]),
        classes(x.shape()[1]) {}

  __device__ Line<const T> row(std::int64_t r) const { return {logits + r * classes, 1, classes}; }
  __device__ double weight(std::int64_t c) const {
    return weights == nullptr ? 1 : static_cast<double>(weights[c]);
  }
  __device__ double at_label(std::int64_t r) const { return (1 - smoothing) * weight(labels[r]); }
  __device__ double at_each(std::int64_t c) const {
    return smoothing / static_cast<double>(classes) * weight(c);
  }

  template <class Team>
  __device__ double loss(Team, std::int64_t r) const {
    if (labels[r] == ignored) return 0;
    const Line<const T> x = row(r);
    const Exponents all = exponents_of<Team>(x);
    const double log_sum = std::log(all.sum);
    const double own = at_label(r) * (log_sum - all.shifted(x[labels[r]]));
    if (smoothing == 0) return own;  // an infinite logit times 0 would be a NaN
    double sum = 0;
    for (auto c = Team::rank(); c < classes; c += Team::kSize)
      sum += at_each(c) * (log_sum - all.shifted(x[c]));
    return own + Team::sum(sum);
  }

  template <class Team>
  __device__ void differentiate(Team, std::int64_t r, double scale, T* dx) const {
    if (labels[r] == ignored) {
      for (auto c = Team::rank(); c < classes; c += Team::kSize) dx[c] = T{0};
      return;
    }
    const Line<const T> x = row(r);
    const Exponents exponents = exponents_of<Team>(x);
    double all = 0;
    for (auto c = Team::rank(); c < classes && smoothing > 0; c += Team::kSize) all += at_each(c);
    all = Team::sum(all) + at_label(r);
    for (auto c = Team::rank(); c < classes; c += Team::kSize) {
      const double own = at_each(c) + (c == labels[r] ? at_label(r) : 0.0);
      dx[c] = static_cast<T>(scale * (all * exponents.probability(x[c]) - own));
    }
  }
};

/// losses[r] = the loss of row r / divisor
template <class Team, class T, class To>
__global__ void cross_entropy_kernel(CrossEntropy<T> of, double divisor, To* losses) {
  for (auto r = Team::first_item(); r < of.rows; r += Team::item_step()) {
    const double loss = of.loss(Team{}, r) / divisor;
    if (Team::rank() == 0) losses[r] = static_cast<To>(loss);
  }
}

/// loss = sum(losses) / divisor, in one block; for mse_loss, too.
template <class T>
__global__ void sum_losses_kernel(std::int64_t rows, const double* losses, double divisor, T* loss) {
  double sum = 0;
  for (auto r = OneBlock::rank(); r < rows; r += OneBlock::kSize) sum += losses[r];
  sum = OneBlock::sum(sum);
  if (OneBlock::rank() == 0) *loss = static_cast<T>(sum / divisor);
}

/// dloss is one number, or with a step of 1 one for each row.
template <class Team, class T>
__global__ void cross_entropy_backward_kernel(CrossEntropy<T> of, double divisor, const T* dloss,
                                              std::int64_t step, T* dlogits) {
  for (auto r = Team::first_item(); r < of.rows; r += Team::item_step())
    of.differentiate(Team{}, r, static_cast<double>(dloss[r * step]) / divisor, dlogits + r * of.classes);
}

void cross_entropy(const Tensor& logits, const Tensor& labels, const Tensor& weight, double label_smoothing,
                   std::int64_t ignore_index, double divisor, Tensor& loss) {
  visit_float("cross_entropy", logits.dtype(), [&]<class T>(TypeTag<T>) {
    const CrossEntropy<T> of(logits, labels, weight, label_smoothing, ignore_index);
    const auto run = [&]<class To>(double by, To* losses) {
      with_team(of.classes, true, [&]<class Team>(Team) {
        launch(logits.device(), Team::blocks_for(of.rows), kThreads, &cross_entropy_kernel<Team, T, To>, of,
               by, losses);
      });
    };
    if (loss.shape().rank() > 0) return run(divisor, loss.mutable_data<T>());
    Tensor losses({of.rows}, DType::f64, Tag::workspace, logits.device());
    run(1, losses.mutable_data<double>());
    launch(logits.device(), 1, kThreads, &sum_losses_kernel<T>, of.rows, losses.data<double>(), divisor,
           loss.mutable_data<T>());
  });
}

void cross_entropy_backward(const Tensor& logits, const Tensor& labels, const Tensor& weight,
                            double label_smoothing, std::int64_t ignore_index, double divisor,
                            const Tensor& dloss, Tensor& dlogits) {
  const std::int64_t step = dloss.shape().rank() == 0 ? 0 : 1;
  visit_float("cross_entropy", logits.dtype(), [&]<class T>(TypeTag<T>) {
    const CrossEntropy<T> of(logits, labels, weight, label_smoothing, ignore_index);
    with_team(of.classes, true, [&]<class Team>(Team) {
      launch(logits.device(), Team::blocks_for(of.rows), kThreads, &cross_entropy_backward_kernel<Team, T>,
             of, divisor, dloss.data<T>(), step, dlogits.mutable_data<T>());
    });
  });
}

/// The binary losses of logits x with targets t, and the weights p of positive ones (null: 1).
template <class T>
struct BinaryCrossEntropy {
  const T *x, *target, *pos_weight;

  BinaryCrossEntropy(const Tensor& logits, const Tensor& targets, const Tensor& weight)
      : x(logits.data<T>()), target(targets.data<T>()), pos_weight(detail::data_or_null<T>(weight)) {}

  __device__ T positive(std::int64_t i) const {
    return pos_weight == nullptr ? target[i] : pos_weight[i] * target[i];
  }
  __device__ T negative(std::int64_t i) const { return 1 - target[i]; }
};

/// y = p t (log(1 + e^-|x|) + max(-x, 0)) + (1 - t) (log(1 + e^-|x|) + max(x, 0)), in which nothing
/// overflows.
template <class T>
__global__ void bce_kernel(std::int64_t n, BinaryCrossEntropy<T> of, T* y) {
  for (std::int64_t i = thread_index(); i < n; i += thread_count()) {
    const T x = of.x[i];
    const T common = std::log1p(std::exp(-std::abs(x)));
    y[i] = of.positive(i) * (common + (x < 0 ? -x : T{0})) + of.negative(i) * (common + (x > 0 ? x : T{0}));
  }
}

/// dx = dy ((1 - t) sigmoid(x) - p t sigmoid(-x))
template <class T>
__global__ void bce_backward_kernel(std::int64_t n, BinaryCrossEntropy<T> of, const T* dy, T* dx) {
  for (std::int64_t i = thread_index(); i < n; i += thread_count()) {
    const T x = of.x[i];
    const T e = std::exp(-std::abs(x));
    const T likely = 1 / (1 + e);  // sigmoid(|x|)
    const T unlikely = e / (1 + e);
    dx[i] =
        dy[i] * (of.negative(i) * (x < 0 ? unlikely : likely) - of.positive(i) * (x < 0 ? likely : unlikely));
  }
}

constexpr const char* kBinary = "binary_cross_entropy_with_logits";

void bce_with_logits(const Tensor& x, const Tensor& target, const Tensor& pos_weight, Tensor& y) {
  visit_float(kBinary, x.dtype(), [&]<class T>(TypeTag<T>) {
    launch(x.device(), blocks_for(x.numel()), kThreads, &bce_kernel<T>, x.numel(),
           BinaryCrossEntropy<T>(x, target, pos_weight), y.mutable_data<T>());
  });
}

void bce_with_logits_backward(const Tensor& x, const Tensor& target, const Tensor& pos_weight,
                              const Tensor& dy, Tensor& dx) {
  visit_float(kBinary, x.dtype(), [&]<class T>(TypeTag<T>) {
    launch(x.device(), blocks_for(x.numel()), kThreads, &bce_backward_kernel<T>, x.numel(),
           BinaryCrossEntropy<T>(x, target, pos_weight), dy.data<T>(), dx.mutable_data<T>());
  });
}

/// losses[i] = (x[i] - y[i])^2 / divisor
template <class T>
__global__ void square_errors_kernel(std::int64_t n, const T* x, const T* y, double divisor, T* losses) {
  for (std::int64_t i = thread_index(); i < n; i += thread_count()) {
    const auto d = static_cast<Compute<T>>(x[i]) - static_cast<Compute<T>>(y[i]);
    losses[i] = static_cast<T>(d * d / static_cast<Compute<T>>(divisor));
  }
}

/// sums[b] = the sum of (x - y)^2 in piece b.
template <class T>
__global__ void sum_square_errors_kernel(std::int64_t n, std::int64_t piece, const T* x, const T* y,
                                         double* sums) {
  const std::int64_t begin = static_cast<std::int64_t>(blockIdx.x) * piece;
  double sum = 0;
  for (std::int64_t i = begin + threadIdx.x; i < std::min(begin + piece, n); i += kThreads) {
    const double d = static_cast<double>(x[i]) - static_cast<double>(y[i]);
    sum += d * d;
  }
  const double total = block_sum<kThreads>(sum);
  if (threadIdx.x == 0) sums[blockIdx.x] = total;
}

/// dx = 2 (x - y) dloss / divisor, where dloss is one number or, with a step of 1, one for each element.
template <class T>
__global__ void mse_backward_kernel(std::int64_t n, const T* x, const T* y, double divisor, const T* dloss,
                                    std::int64_t step, T* dx) {
  for (std::int64_t i = thread_index(); i < n; i += thread_count()) {
    const auto factor = static_cast<Compute<T>>(2 * static_cast<double>(dloss[i * step]) / divisor);
    dx[i] = static_cast<T>(factor * (static_cast<Compute<T>>(x[i]) - static_cast<Compute<T>>(y[i])));
  }
}

void mse_loss(const Tensor& x, const Tensor& y, double divisor, Tensor& loss) {
  constexpr std::int64_t kPiece = 64 * kThreads;  // elements of a block
  const std::int64_t n = x.numel();
  visit_any_float("mse_loss", x.dtype(), [&]<class T>(TypeTag<T>) {
    T* to = loss.mutable_data<T>();
    if (loss.shape().rank() > 0)
      return launch(x.device(), blocks_for(n), kThreads, &square_errors_kernel<T>, n, x.data<T>(),
                    y.data<T>(), divisor, to);
    Tensor sums({ceil_div(n, kPiece)}, DType::f64, Tag::workspace, x.device());
    launch(x.device(), sums.numel(), kThreads, &sum_square_errors_kernel<T>, n, kPiece, x.data<T>(),
           y.data<T>(), sums.mutable_data<double>());
    launch(x.device(), 1, kThreads, &sum_losses_kernel<T>, sums.numel(), sums.data<double>(), divisor, to);
  });
}

void mse_loss_backward(const Tensor& x, const Tensor& y, double divisor, const Tensor& dloss, Tensor& dx) {
  const std::int64_t step = dloss.shape().rank() == 0 ? 0 : 1;
  visit_any_float("mse_loss", x.dtype(), [&]<class T>(TypeTag<T>) {
    launch(x.device(), blocks_for(x.numel()), kThreads, &mse_backward_kernel<T>, x.numel(), x.data<T>(),
           y.data<T>(), divisor, dloss.data<T>(), step, dx.mutable_data<T>());
  });
}

}  // namespace

void install_loss() {
  kernel::mse_loss.install(DeviceKind::cuda, &mse_loss);
  kernel::mse_loss_backward.install(DeviceKind::cuda, &mse_loss_backward);
  kernel::cross_entropy.install(DeviceKind::cuda, &cross_entropy);
  kernel::cross_entropy_backward.install(DeviceKind::cuda, &cross_entropy_backward);
  kernel::bce_with_logits.install(DeviceKind::cuda, &bce_with_logits);
  kernel::bce_with_logits_backward.install(DeviceKind::cuda, &bce_with_logits_backward);
}

}  // namespace retrace::cuda
