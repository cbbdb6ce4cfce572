#include <retrace/core/cpu/parallel.h>
#include <retrace/core/kernels.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <numeric>
#include <type_traits>
#include <vector>

namespace retrace {

namespace {

using cpu::kGrain;
using cpu::parallel_for;
using kernel::ParameterStep;
using kernel::ParameterSteps;

/// Up to kGrain elements of one parameter.
template <class T>
struct Piece {
  const T* gradient;
  T* parameter;
  std::array<T*, 3> state;  ///< as many as the optimizer keeps
  std::int64_t number;      ///< of the parameter's step
  std::int64_t elements;
};

template <class T>
std::vector<Piece<T>> pieces_of(ParameterSteps& steps) {
  std::vector<Piece<T>> pieces;
  for (ParameterStep& step : steps.steps) {
    Tensor& parameter = step.parameter;
    if (parameter.dtype() != dtype_of<T>()) continue;
    Piece<T> piece{step.gradient.data<T>(), parameter.mutable_data<T>(), {}, step.number, 0};
    for (std::size_t k = 0; k < step.state.size(); ++k) piece.state[k] = step.state[k].mutable_data<T>();
    for (std::int64_t begin = 0; begin < parameter.numel(); begin += kGrain) {
      piece.elements = std::min(kGrain, parameter.numel() - begin);
      pieces.push_back(piece);
      piece.gradient += kGrain;
      piece.parameter += kGrain;
      for (std::size_t k = 0; k < step.state.size(); ++k) piece.state[k] += kGrain;
    }
  }
  return pieces;
}

/// Calls update(piece) for the pieces of all parameters, of f32 and then of f64, in parallel.
template <class Update>
void for_each_piece(std::string_view op, ParameterSteps& steps, const Update& update) {
  for (const ParameterStep& step : steps.steps) visit_float(op, step.parameter.dtype(), [](auto) {});
  const auto run = [&](const auto& pieces) {
    parallel_for(static_cast<std::int64_t>(pieces.size()), 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t k = begin; k < end; ++k) update(pieces[static_cast<std::size_t>(k)]);
    });
  };
  run(pieces_of<float>(steps));
  run(pieces_of<double>(steps));
}

/// Calls update(i, g) for each element, where g is its gradient with the weight decay in it; without one, the
/// parameter is not read, for it may be infinite.
template <class T, class Update>
void for_each_gradient(const Piece<T>& piece, double weight_decay, const Update& update) {
  const T* g = piece.gradient;
  const T* p = piece.parameter;
  const T decay = static_cast<T>(weight_decay);
  if (weight_decay == 0) {
    for (std::int64_t i = 0; i < piece.elements; ++i) update(i, g[i]);
    return;
  }
  for (std::int64_t i = 0; i < piece.elements; ++i) update(i, g[i] + decay * p[i]);
}

template <class T>
void sgd(const SgdOptions& options, const Piece<T>& piece) {
  T* p = piece.parameter;
  T* buffer = piece.state[0];
  const T lr = static_cast<T>(options.lr);
  const T momentum = static_cast<T>(options.momentum);
  const T fresh = static_cast<T>(piece.number == 1 ? 1 : 1 - options.dampening);
  if (buffer == nullptr) {
    for_each_gradient(piece, options.weight_decay, [=](std::int64_t i, T g) { p[i] -= lr * g; });
  } else if (options.nesterov) {
    for_each_gradient(piece, options.weight_decay, [=](std::int64_t i, T g) {
      buffer[i] = momentum * buffer[i] + fresh * g;
      p[i] -= lr * (g + momentum * buffer[i]);
    });
  } else {
    for_each_gradient(piece, options.weight_decay, [=](std::int64_t i, T g) {
      buffer[i] = momentum * buffer[i] + fresh * g;
      p[i] -= lr * buffer[i];
    });
  }
}

template <class T>
void adam(const AdamOptions& options, const Piece<T>& piece) {
  T* p = piece.parameter;
  T* m = piece.state[0];
  T* v = piece.state[1];
  const auto t = static_cast<double>(piece.number);
  const T step_size = static_cast<T>(options.lr / (1 - std::pow(options.beta1, t)));
  const T root_correction = static_cast<T>(std::sqrt(1 - std::pow(options.beta2, t)));
  const T beta1 = static_cast<T>(options.beta1);
  const T beta2 = static_cast<T>(options.beta2);
  const T fresh1 = static_cast<T>(1 - options.beta1);
  const T fresh2 = static_cast<T>(1 - options.beta2);
  const T eps = static_cast<T>(options.eps);
  const bool decoupled = options.decoupled_weight_decay;
  const T kept = static_cast<T>(decoupled ? 1 - options.lr * options.weight_decay : 1);
  for_each_gradient(piece, decoupled ? 0 : options.weight_decay, [=](std::int64_t i, T g) {
    m[i] = beta1 * m[i] + fresh1 * g;
    v[i] = beta2 * v[i] + fresh2 * g * g;
    p[i] = kept * p[i] - step_size * m[i] / (std::sqrt(v[i]) / root_correction + eps);
  });
}

template <class T>
void rmsprop(const RmspropOptions& options, const Piece<T>& piece) {
  T* p = piece.parameter;
  T* square = piece.state[0];
  T* average = options.centered ? piece.state[1] : nullptr;
  T* buffer = options.momentum > 0 ? piece.state[options.centered ? 2 : 1] : nullptr;
  const T lr = static_cast<T>(options.lr);
  const T momentum = static_cast<T>(options.momentum);
  const T alpha = static_cast<T>(options.alpha);
  const T fresh = static_cast<T>(1 - options.alpha);
  const T eps = static_cast<T>(options.eps);
  for_each_gradient(piece, options.weight_decay, [=](std::int64_t i, T g) {
    square[i] = alpha * square[i] + fresh * g * g;
    T variance = square[i];
    if (average != nullptr) {
      average[i] = alpha * average[i] + fresh * g;
      variance = std::max(variance - average[i] * average[i], T{0});  // rounding may take it below 0
    }
    T change = g / (std::sqrt(variance) + eps);
    if (buffer != nullptr) change = buffer[i] = momentum * buffer[i] + change;
    p[i] -= lr * change;
  });
}

void sgd_step_cpu(const SgdOptions& options, ParameterSteps& steps) {
  for_each_piece("sgd", steps, [&](const auto& piece) { sgd(options, piece); });
}

void adam_step_cpu(const AdamOptions& options, ParameterSteps& steps) {
  for_each_piece("adam", steps, [&](const auto& piece) { adam(options, piece); });
}

void rmsprop_step_cpu(const RmspropOptions& options, ParameterSteps& steps) {
  for_each_piece("rmsprop", steps, [&](const auto& piece) { rmsprop(options, piece); });
}

double square_sum_cpu(const Tensor& x, double scale) {
  const std::int64_t tasks = cpu::task_count(x.numel(), kGrain);
  Tensor partial({tasks}, DType::f64, Tag::workspace);
  double* sums = partial.mutable_data<double>();
  visit_any_float("square_sum", x.dtype(), [&]<class T>(TypeTag<T>) {
    const T* from = x.data<T>();
    parallel_for(x.numel(), kGrain, [=](std::int64_t begin, std::int64_t end) {
      double sum = 0;
      for (std::int64_t i = begin; i < end; ++i) {
        const double v = scale * static_cast<double>(from[i]);
        sum += v * v;
      }
      sums[begin / kGrain] = sum;
    });
  });
  return std::accumulate(sums, sums + tasks, 0.0);
}

/// Replaces `kept` by `value` if that is better.
template <class Better>
void improve(std::atomic<double>& kept, double value, Better better) {
  double now = kept.load();
  while (better(value, now) && !kept.compare_exchange_weak(now, value)) {
  }
}

kernel::Magnitudes magnitudes_cpu(const Tensor& x) {
  std::atomic<double> smallest = std::numeric_limits<double>::infinity();
  std::atomic<double> largest = 0;
  visit_any_float("magnitudes", x.dtype(), [&]<class T>(TypeTag<T>) {
    using V = Compute<T>;
    using Bits = std::conditional_t<sizeof(V) == 4, std::uint32_t, std::uint64_t>;
    // The bits of |x| are in the order of |x|, and a NaN's above all. A minimum of floats would not do:
    // compilers start it with the largest finite number.
    constexpr Bits infinite = std::bit_cast<Bits>(std::numeric_limits<V>::infinity());
    const T* from = x.data<T>();
    parallel_for(x.numel(), kGrain, [=, &smallest, &largest](std::int64_t begin, std::int64_t end) {
      Bits low = infinite;
      Bits high = 0;
#pragma omp simd reduction(min : low) reduction(max : high)
      for (std::int64_t i = begin; i < end; ++i) {
        const Bits size = std::min(std::bit_cast<Bits>(std::abs(static_cast<V>(from[i]))), infinite);
        low = std::min(low, size);
        high = std::max(high, size);
      }
      improve(smallest, std::bit_cast<V>(low), std::less<>());
      improve(largest, std::bit_cast<V>(high), std::greater<>());
    });
  });
  return {smallest, largest};
}

}  // namespace

constinit decltype(kernel::sgd_step) kernel::sgd_step{&sgd_step_cpu};
constinit decltype(kernel::adam_step) kernel::adam_step{&adam_step_cpu};
constinit decltype(kernel::rmsprop_step) kernel::rmsprop_step{&rmsprop_step_cpu};
constinit decltype(kernel::square_sum) kernel::square_sum{&square_sum_cpu};
constinit decltype(kernel::magnitudes) kernel::magnitudes{&magnitudes_cpu};

}  // namespace retrace
