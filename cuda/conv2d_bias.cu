#include <retrace/core/data_or_null.h>
#include <retrace/cuda/conv2d_bias.h>
#include <retrace/cuda/gpu.h>

namespace retrace::cuda {

namespace {

using detail::data_or_null;

/// Bias and residual may be null.
template <class T>
__global__ void add_bias_kernel(std::int64_t n, std::int64_t plane, std::int64_t channels, const T* sum,
                                const T* bias, const T* residual, Sign sign, T* y) {
  for (std::int64_t i = thread_index(); i < n; i += thread_count()) {
    T value = sum[i];
    if (bias != nullptr)
      value = static_cast<T>(static_cast<Compute<T>>(value) +
                             static_cast<Compute<T>>(bias[i / plane % channels]));
    if (residual != nullptr) {
      const auto r = static_cast<Compute<T>>(residual[i]);
      const auto v = static_cast<Compute<T>>(value);
      value = static_cast<T>(sign == Sign::plus ? r + v : r - v);
    }
    y[i] = value;
  }
}

}  // namespace

void add_bias(const Tensor& sum, const Tensor& bias, const kernel::Residual& residual, Tensor& y) {
  const Shape shape = y.shape();
  visit_any_float("conv2d", y.dtype(), [&]<class T>(TypeTag<T>) {
    launch(y.device(), blocks_for(shape.numel()), kThreads, &add_bias_kernel<T>, shape.numel(),
           shape[2] * shape[3], shape[1], sum.data<T>(), data_or_null<T>(bias),
           data_or_null<T>(residual.value), residual.sign, y.mutable_data<T>());
  });
}

}  // namespace retrace::cuda
