#include <retrace/core/cpu/exp.h>
#include <retrace/core/cpu/parallel.h>
#include <retrace/core/cpu/reduced_float.h>
#include <retrace/core/data_or_null.h>
#include <retrace/core/kernels.h>

#include <algorithm>
#include <cmath>
#include <numeric>

namespace retrace {

namespace {

using cpu::kGrain;
using cpu::parallel_for;

/// loss[i] = (x[i] - y[i])^2 / divisor.
template <class T>
void square_errors(const T* x, const T* y, std::int64_t n, double divisor, T* loss) {
  parallel_for(n, kGrain, [=, by = static_cast<Compute<T>>(divisor)](std::int64_t begin, std::int64_t end) {
#pragma omp simd
    for (std::int64_t i = begin; i < end; ++i) {
      const auto d = static_cast<Compute<T>>(x[i]) - static_cast<Compute<T>>(y[i]);
      cpu::put(loss[i], d * d / by);
    }
  });
}

/// The sum of (x - y)^2, in double.
template <class T>
double sum_of_square_errors(const T* x, const T* y, std::int64_t n) {
  const std::int64_t tasks = cpu::task_count(n, kGrain);
  Tensor partial({tasks}, DType::f64, Tag::workspace);
  double* sums = partial.mutable_data<double>();
  parallel_for(n, kGrain, [=](std::int64_t begin, std::int64_t end) {
    double sum = 0;
#pragma omp simd reduction(+ : sum)
    for (std::int64_t i = begin; i < end; ++i) {
      const double d = static_cast<double>(x[i]) - static_cast<double>(y[i]);
      sum += d * d;
    }
    sums[begin / kGrain] = sum;
  });
  return std::accumulate(sums, sums + tasks, 0.0);
}

void mse_loss_cpu(const Tensor& x, const Tensor& y, double divisor, Tensor& loss) {
  visit_any_float("mse_loss", x.dtype(), [&]<class T>(TypeTag<T>) {
    T* to = loss.mutable_data<T>();
    if (loss.shape().rank() > 0)
      square_errors(x.data<T>(), y.data<T>(), x.numel(), divisor, to);
    else
      *to = static_cast<T>(sum_of_square_errors(x.data<T>(), y.data<T>(), x.numel()) / divisor);
  });
}

void mse_loss_backward_cpu(const Tensor& x, const Tensor& y, double divisor, const Tensor& dloss,
                           Tensor& dx) {
  visit_any_float("mse_loss", x.dtype(), [&]<class T>(TypeTag<T>) {
    const auto run = [=, a = x.data<T>(), b = y.data<T>(), to = dx.mutable_data<T>(),
                      n = x.numel()](const auto& factor) {
      parallel_for(n, kGrain, [=](std::int64_t begin, std::int64_t end) {
#pragma omp simd
        for (std::int64_t i = begin; i < end; ++i)
          cpu::put(to[i], factor(i) * (static_cast<Compute<T>>(a[i]) - static_cast<Compute<T>>(b[i])));
      });
    };
    const T* d = dloss.data<T>();
    if (dloss.shape().rank() == 0)
      run([f = static_cast<Compute<T>>(2 * static_cast<double>(*d) / divisor)](std::int64_t) { return f; });
    else
      run([d, f = static_cast<Compute<T>>(2 / divisor)](std::int64_t i) { return f * d[i]; });
  });
}

/// y[i] = f(x[i], target[i], weight of a positive target).
template <class T, class F>
void map_targets(const Tensor& x, const Tensor& target, const Tensor& pos_weight, Tensor& y, const F& f) {
  const T* from = x.data<T>();
  const T* t = target.data<T>();
  const T* p = detail::data_or_null<T>(pos_weight);
  T* to = y.mutable_data<T>();
  const auto run = [=, n = x.numel()](const auto& weight) {
    parallel_for(n, kGrain, [=](std::int64_t begin, std::int64_t end) {
#pragma omp simd
      for (std::int64_t i = begin; i < end; ++i) to[i] = f(i, from[i], t[i], weight(i));
    });
  };
  if (p == nullptr)
    run([](std::int64_t) { return T{1}; });
  else
    run([p](std::int64_t i) { return p[i]; });
}

/// -log sigmoid(-x) = log(1 + e^x) = max(x, 0) + log(1 + e^-|x|), in which nothing overflows.
void bce_with_logits_cpu(const Tensor& x, const Tensor& target, const Tensor& pos_weight, Tensor& y) {
  visit_float("binary_cross_entropy_with_logits", x.dtype(), [&]<class T>(TypeTag<T>) {
    map_targets<T>(x, target, pos_weight, y, [](std::int64_t, T v, T t, T p) {
      const T common = cpu::log1p_of(cpu::exp_of(-std::abs(v)));
      return p * t * (common + std::max(-v, T{0})) + (1 - t) * (common + std::max(v, T{0}));
    });
  });
}

/// dx = dy ((1 - target) sigmoid(x) - pos_weight target sigmoid(-x))
void bce_with_logits_backward_cpu(const Tensor& x, const Tensor& target, const Tensor& pos_weight,
                                  const Tensor& dy, Tensor& dx) {
  visit_float("binary_cross_entropy_with_logits", x.dtype(), [&]<class T>(TypeTag<T>) {
    map_targets<T>(x, target, pos_weight, dx, [d = dy.data<T>()](std::int64_t i, T v, T t, T p) {
      return d[i] * ((1 - t) * cpu::sigmoid_of(v) - p * t * cpu::sigmoid_of(-v));
    });
  });
}

}  // namespace

constinit decltype(kernel::mse_loss) kernel::mse_loss{&mse_loss_cpu};
constinit decltype(kernel::mse_loss_backward) kernel::mse_loss_backward{&mse_loss_backward_cpu};
constinit decltype(kernel::bce_with_logits) kernel::bce_with_logits{&bce_with_logits_cpu};
constinit decltype(kernel::bce_with_logits_backward) kernel::bce_with_logits_backward{
    &bce_with_logits_backward_cpu};

}  // namespace retrace
