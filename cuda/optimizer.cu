// One launch takes the pieces of many parameters. Their addresses travel in the kernel's arguments, which
// hold 4 KiB.
#include <retrace/core/kernels.h>
#include <retrace/cuda/gpu.h>
#include <retrace/cuda/install.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

namespace retrace::cuda {

namespace {

using kernel::ParameterStep;
using kernel::ParameterSteps;

constexpr std::int64_t kPiece = 8 * kThreads;  // elements of a block

/// The gradient with the weight decay in it; without one, the parameter is not read, for it may be infinite.
template <class T>
__device__ T decayed(T gradient, double weight_decay, T parameter) {
  return weight_decay == 0 ? gradient : gradient + static_cast<T>(weight_decay) * parameter;
}

/// One parameter, or what is left of it.
template <class T>
struct Piece {
  const T* gradient;
  T* parameter;
  T* state[3];   ///< as many as the optimizer keeps
  T factors[2];  ///< what the optimizer makes of the number of the parameter's step
  std::int64_t elements;
  std::int64_t first_block;
};

template <class T>
struct Pieces {
  static constexpr int kMost = 48;
  Piece<T> piece[kMost];
  int count;
};
static_assert(sizeof(Pieces<double>) <= 3700, "beside an optimizer's numbers in 4 KiB");

/// Calls f.update(piece, i) for all elements of all pieces.
template <class T, class F>
__global__ void step_kernel(Pieces<T> pieces, F f) {
  int p = pieces.count - 1;
  while (pieces.piece[p].first_block > static_cast<std::int64_t>(blockIdx.x)) --p;
  const Piece<T>& piece = pieces.piece[p];
  const std::int64_t begin = (static_cast<std::int64_t>(blockIdx.x) - piece.first_block) * kPiece;
  const std::int64_t end = std::min(begin + kPiece, piece.elements);
  for (std::int64_t i = begin + threadIdx.x; i < end; i += kThreads) f.update(piece, i);
}

// Each has the factors of a parameter's step, computed once for all its elements, and the update of one.

struct Sgd {
  SgdOptions options;

  std::array<double, 2> factors(std::int64_t number) const {
    return {number == 1 ? 1 : 1 - options.dampening, 0};
  }
  template <class T>
  __device__ void update(const Piece<T>& piece, std::int64_t i) const {
    T& p = piece.parameter[i];
    const T g = decayed(piece.gradient[i], options.weight_decay, p);
    const T lr = static_cast<T>(options.lr);
    if (piece.state[0] == nullptr) {
      p -= lr * g;
      return;
    }
    const T momentum = static_cast<T>(options.momentum);
    const T fresh = piece.factors[0];
    T& buffer = piece.state[0][i];
    buffer = momentum * buffer + fresh * g;
    p -= lr * (options.nesterov ? g + momentum * buffer : buffer);
  }
};

struct Adam {
  AdamOptions options;

  std::array<double, 2> factors(std::int64_t number) const {
    const auto t = static_cast<double>(number);
    return {options.lr / (1 - std::pow(options.beta1, t)), std::sqrt(1 - std::pow(options.beta2, t))};
  }
  template <class T>
  __device__ void update(const Piece<T>& piece, std::int64_t i) const {
    const auto [step_size, root_correction] = piece.factors;
    const bool decoupled = options.decoupled_weight_decay;
    T& p = piece.parameter[i];
    T& m = piece.state[0][i];
    T& v = piece.state[1][i];
    const T g = decayed(piece.gradient[i], decoupled ? 0 : options.weight_decay, p);
    m = static_cast<T>(options.beta1) * m + static_cast<T>(1 - options.beta1) * g;
    v = static_cast<T>(options.beta2) * v + static_cast<T>(1 - options.beta2) * g * g;
    const T kept = static_cast<T>(decoupled ? 1 - options.lr * options.weight_decay : 1);
    p = kept * p - step_size * m / (std::sqrt(v) / root_correction + static_cast<T>(options.eps));
  }
};

struct Rmsprop {
  RmspropOptions options;

  std::array<double, 2> factors(std::int64_t) const { return {}; }
  template <class T>
  __device__ void update(const Piece<T>& piece, std::int64_t i) const {
    T& p = piece.parameter[i];
    const T g = decayed(piece.gradient[i], options.weight_decay, p);
    const T alpha = static_cast<T>(options.alpha);
    const T fresh = static_cast<T>(1 - options.alpha);
    T& square = piece.state[0][i];
    square = alpha * square + fresh * g * g;
    T variance = square;
    if (options.centered) {
      T& average = piece.state[1][i];
      average = alpha * average + fresh * g;
      variance = std::max(variance - average * average, T{0});  // rounding may take it below 0
    }
    T change = g / (std::sqrt(variance) + static_cast<T>(options.eps));
    if (options.momentum > 0) {
      T& buffer = piece.state[options.centered ? 2 : 1][i];
      change = buffer = static_cast<T>(options.momentum) * buffer + change;
    }
    p -= static_cast<T>(options.lr) * change;
  }
};

template <class T, class F>
void step_all(ParameterSteps& steps, F f) {
  Pieces<T> pieces{};
  std::int64_t blocks = 0;
  const auto run = [&] {
    if (pieces.count > 0) launch(steps.device(), blocks, kThreads, &step_kernel<T, F>, pieces, f);
    pieces.count = 0;
    blocks = 0;
  };
  for (ParameterStep& step : steps.steps) {
    Tensor& parameter = step.parameter;
    if (parameter.dtype() != dtype_of<T>()) continue;
    const auto [first, second] = f.factors(step.number);
    Piece<T> piece{step.gradient.data<T>(),
                   parameter.mutable_data<T>(),
                   {},
                   {static_cast<T>(first), static_cast<T>(second)},
                   parameter.numel(),
                   blocks};
    for (std::size_t k = 0; k < step.state.size(); ++k) piece.state[k] = step.state[k].mutable_data<T>();
    pieces.piece[pieces.count++] = piece;
    blocks += ceil_div(piece.elements, kPiece);
    if (pieces.count == Pieces<T>::kMost) run();
  }
  run();
}

template <class F>
void step(const char* op, ParameterSteps& steps, F f) {
  for (const ParameterStep& one : steps.steps) visit_float(op, one.parameter.dtype(), [](auto) {});
  step_all<float>(steps, f);
  step_all<double>(steps, f);
}

void sgd_step(const SgdOptions& options, ParameterSteps& steps) { step("sgd", steps, Sgd{options}); }
void adam_step(const AdamOptions& options, ParameterSteps& steps) { step("adam", steps, Adam{options}); }
void rmsprop_step(const RmspropOptions& options, ParameterSteps& steps) {
  step("rmsprop", steps, Rmsprop{options});
}

constexpr std::int64_t kTerms = 64 * kThreads;  // of a block

/// sums[b] = the sum of (scale x)^2 in piece b.
template <class T>
__global__ void squares_kernel(std::int64_t n, double scale, const T* x, double* sums) {
  const std::int64_t begin = static_cast<std::int64_t>(blockIdx.x) * kTerms;
  double sum = 0;
  for (std::int64_t i = begin + threadIdx.x; i < std::min(begin + kTerms, n); i += kThreads) {
    const double v = scale * static_cast<double>(x[i]);
    sum += v * v;
  }
  const double total = block_sum<kThreads>(sum);
  if (threadIdx.x == 0) sums[blockIdx.x] = total;
}

__global__ void add_sums_kernel(std::int64_t n, const double* sums, double* out) {
  double sum = 0;
  for (std::int64_t i = threadIdx.x; i < n; i += kThreads) sum += sums[i];
  const double total = block_sum<kThreads>(sum);
  if (threadIdx.x == 0) *out = total;
}

double square_sum(const Tensor& x, double scale) {
  const std::int64_t blocks = ceil_div(x.numel(), kTerms);
  Tensor partial({blocks}, DType::f64, Tag::workspace, x.device());
  Tensor out({}, DType::f64, Tag::workspace, x.device());
  double* sums = partial.mutable_data<double>();
  visit_any_float("square_sum", x.dtype(), [&]<class T>(TypeTag<T>) {
    launch(x.device(), blocks, kThreads, &squares_kernel<T>, x.numel(), scale, x.data<T>(), sums);
  });
  launch(x.device(), 1, kThreads, &add_sums_kernel, blocks, sums, out.mutable_data<double>());
  return out.item();
}

/// The range of |x| in piece b, where a NaN counts as infinite: -smallest in lows[b], for Larger to find it,
/// and largest in highs[b].
template <class T>
__global__ void magnitudes_kernel(std::int64_t n, const T* x, double* lows, double* highs) {
  const std::int64_t begin = static_cast<std::int64_t>(blockIdx.x) * kTerms;
  double low = -HUGE_VAL;
  double high = 0;
  for (std::int64_t i = begin + threadIdx.x; i < std::min(begin + kTerms, n); i += kThreads) {
    const double v = std::abs(static_cast<double>(x[i]));
    const double size = std::isnan(v) ? HUGE_VAL : v;
    low = -size > low ? -size : low;
    high = size > high ? size : high;
  }
  low = block_max<kThreads>(low);
  high = block_max<kThreads>(high);
  if (threadIdx.x > 0) return;
  lows[blockIdx.x] = low;
  highs[blockIdx.x] = high;
}

kernel::Magnitudes magnitudes(const Tensor& x) {
  const std::int64_t blocks = ceil_div(x.numel(), kTerms);
  Tensor parts({2, blocks}, DType::f64, Tag::workspace, x.device());
  double* lows = parts.mutable_data<double>();
  visit_any_float("magnitudes", x.dtype(), [&]<class T>(TypeTag<T>) {
    launch(x.device(), blocks, kThreads, &magnitudes_kernel<T>, x.numel(), x.data<T>(), lows, lows + blocks);
  });
  const std::vector<double> found = parts.to_vector<double>();
  const auto middle = found.begin() + blocks;
  return {-*std::max_element(found.begin(), middle), *std::max_element(middle, found.end())};
}

}  // namespace

void install_optimizer() {
  kernel::sgd_step.install(DeviceKind::cuda, &sgd_step);
  kernel::adam_step.install(DeviceKind::cuda, &adam_step);
  kernel::rmsprop_step.install(DeviceKind::cuda, &rmsprop_step);
  kernel::square_sum.install(DeviceKind::cuda, &square_sum);
  kernel::magnitudes.install(DeviceKind::cuda, &magnitudes);
}

}  // namespace retrace::cuda
