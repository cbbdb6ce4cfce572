#include <retrace/core/cpu/parallel.h>
#include <retrace/core/kernels.h>

#include <algorithm>
#include <cmath>

namespace retrace {

namespace {

using cpu::kGrain;
using cpu::parallel_for;

/// The elements of a state tensor, or null for an undefined one.
template <class T>
T* elements_or_null(Tensor& state) {
  return state.defined() ? state.mutable_data<T>() : nullptr;
}

/// Calls update(i, g) for each element, where g is its gradient with the weight decay in it.
template <class T, class Update>
void for_each_gradient(const Tensor& grad, const T* p, double weight_decay, const Update& update) {
  const T* g = grad.data<T>();
  const T decay = static_cast<T>(weight_decay);
  parallel_for(grad.numel(), kGrain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) update(i, g[i] + decay * p[i]);
  });
}

template <class T>
void sgd(const SgdOptions& options, bool first, const Tensor& grad, Tensor& momentum_buffer,
         Tensor& parameter) {
  T* p = parameter.mutable_data<T>();
  T* buffer = elements_or_null<T>(momentum_buffer);
  const T lr = static_cast<T>(options.lr);
  const T momentum = static_cast<T>(options.momentum);
  const T fresh = static_cast<T>(first ? 1 : 1 - options.dampening);
  if (buffer == nullptr) {
    for_each_gradient(grad, p, options.weight_decay, [=](std::int64_t i, T g) { p[i] -= lr * g; });
  } else if (options.nesterov) {
    for_each_gradient(grad, p, options.weight_decay, [=](std::int64_t i, T g) {
      buffer[i] = momentum * buffer[i] + fresh * g;
      p[i] -= lr * (g + momentum * buffer[i]);
    });
  } else {
    for_each_gradient(grad, p, options.weight_decay, [=](std::int64_t i, T g) {
      buffer[i] = momentum * buffer[i] + fresh * g;
      p[i] -= lr * buffer[i];
    });
  }
}

template <class T>
void adam(const AdamOptions& options, std::int64_t step, const Tensor& grad, Tensor& exp_avg,
          Tensor& exp_avg_sq, Tensor& parameter) {
  T* p = parameter.mutable_data<T>();
  T* m = exp_avg.mutable_data<T>();
  T* v = exp_avg_sq.mutable_data<T>();
  const auto t = static_cast<double>(step);
  const T step_size = static_cast<T>(options.lr / (1 - std::pow(options.beta1, t)));
  const T root_correction = static_cast<T>(std::sqrt(1 - std::pow(options.beta2, t)));
  const T beta1 = static_cast<T>(options.beta1);
  const T beta2 = static_cast<T>(options.beta2);
  const T fresh1 = static_cast<T>(1 - options.beta1);
  const T fresh2 = static_cast<T>(1 - options.beta2);
  const T eps = static_cast<T>(options.eps);
  const bool decoupled = options.decoupled_weight_decay;
  const T kept = static_cast<T>(decoupled ? 1 - options.lr * options.weight_decay : 1);
  for_each_gradient(grad, p, decoupled ? 0 : options.weight_decay, [=](std::int64_t i, T g) {
    m[i] = beta1 * m[i] + fresh1 * g;
    v[i] = beta2 * v[i] + fresh2 * g * g;
    p[i] = kept * p[i] - step_size * m[i] / (std::sqrt(v[i]) / root_correction + eps);
  });
}

template <class T>
void rmsprop(const RmspropOptions& options, const Tensor& grad, Tensor& square_avg, Tensor& grad_avg,
             Tensor& momentum_buffer, Tensor& parameter) {
  T* p = parameter.mutable_data<T>();
  T* square = square_avg.mutable_data<T>();
  T* average = elements_or_null<T>(grad_avg);
  T* buffer = elements_or_null<T>(momentum_buffer);
  const T lr = static_cast<T>(options.lr);
  const T momentum = static_cast<T>(options.momentum);
  const T alpha = static_cast<T>(options.alpha);
  const T fresh = static_cast<T>(1 - options.alpha);
  const T eps = static_cast<T>(options.eps);
  for_each_gradient(grad, p, options.weight_decay, [=](std::int64_t i, T g) {
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

void sgd_step_cpu(const SgdOptions& options, bool first, const Tensor& grad, Tensor& momentum_buffer,
                  Tensor& parameter) {
  visit_float("sgd", grad.dtype(),
              [&]<class T>(TypeTag<T>) { sgd<T>(options, first, grad, momentum_buffer, parameter); });
}

void adam_step_cpu(const AdamOptions& options, std::int64_t step, const Tensor& grad, Tensor& exp_avg,
                   Tensor& exp_avg_sq, Tensor& parameter) {
  visit_float("adam", grad.dtype(),
              [&]<class T>(TypeTag<T>) { adam<T>(options, step, grad, exp_avg, exp_avg_sq, parameter); });
}

void rmsprop_step_cpu(const RmspropOptions& options, const Tensor& grad, Tensor& square_avg, Tensor& grad_avg,
                      Tensor& momentum_buffer, Tensor& parameter) {
  visit_float("rmsprop", grad.dtype(), [&]<class T>(TypeTag<T>) {
    rmsprop<T>(options, grad, square_avg, grad_avg, momentum_buffer, parameter);
  });
}

void square_sum_cpu(const Tensor& x, Tensor& out) {
  const std::int64_t tasks = cpu::task_count(x.numel(), kGrain);
  Tensor partial({tasks}, DType::f64, Tag::workspace);
  double* sums = partial.mutable_data<double>();
  visit_float("square_sum", x.dtype(), [&]<class T>(TypeTag<T>) {
    const T* from = x.data<T>();
    parallel_for(x.numel(), kGrain, [=](std::int64_t begin, std::int64_t end) {
      double sum = 0;
      for (std::int64_t i = begin; i < end; ++i)
        sum += static_cast<double>(from[i]) * static_cast<double>(from[i]);
      sums[begin / kGrain] = sum;
    });
  });
  double total = 0;
  for (std::int64_t task = 0; task < tasks; ++task) total += sums[task];
  *out.mutable_data<double>() = total;
}

}  // namespace

constinit decltype(kernel::sgd_step) kernel::sgd_step{&sgd_step_cpu};
constinit decltype(kernel::adam_step) kernel::adam_step{&adam_step_cpu};
constinit decltype(kernel::rmsprop_step) kernel::rmsprop_step{&rmsprop_step_cpu};
constinit decltype(kernel::square_sum) kernel::square_sum{&square_sum_cpu};

}  // namespace retrace
