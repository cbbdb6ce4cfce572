// Activations whose derivative is a decision. A thread takes the eight elements of a byte of the mask, so
// that no two write to one byte.
#include <retrace/core/data_or_null.h>
#include <retrace/core/kernels.h>
#include <retrace/cuda/gpu.h>
#include <retrace/cuda/install.h>

#include <cmath>

namespace retrace::cuda {

namespace {

// What becomes of an element, and the decisions that are kept. A NaN stays one: comparisons are written so
// that they fail towards x.

struct Relu {
  static constexpr int kRows = 1;
  template <class V>
  __device__ V value(V x) const {
    return 0 > x ? V{0} : x;
  }
  template <class V>
  __device__ bool decide(int, V x) const {
    return !(x <= 0);
  }
};
struct LeakyRelu {
  static constexpr int kRows = 1;
  double slope;
  template <class V>
  __device__ V value(V x) const {
    return x > 0 ? x : static_cast<V>(slope) * x;
  }
  template <class V>
  __device__ bool decide(int, V x) const {
    return x > 0;
  }
};
struct Clamp {
  static constexpr int kRows = 1;
  double low, high;
  template <class V>
  __device__ V value(V x) const {
    return static_cast<V>(low) > x    ? static_cast<V>(low)
           : static_cast<V>(high) < x ? static_cast<V>(high)
                                      : x;
  }
  template <class V>
  __device__ bool decide(int, V x) const {
    return x >= static_cast<V>(low) && x <= static_cast<V>(high);
  }
};
struct Abs {
  static constexpr int kRows = 2;
  template <class V>
  __device__ V value(V x) const {
    return std::abs(x);
  }
  template <class V>
  __device__ bool decide(int row, V x) const {
    return row == 0 ? x > 0 : x < 0;
  }
};

/// y = f.value(x), and unless `bits` is null f's decisions in rows of `bytes` bytes. y may be x.
template <class T, class F>
__global__ void masked_kernel(std::int64_t n, std::int64_t bytes, const T* x, T* y, std::uint8_t* bits, F f) {
  for (std::int64_t b = thread_index(); b < bytes; b += thread_count()) {
    unsigned packed[F::kRows] = {};
    for (std::int64_t k = 0; k < 8 && 8 * b + k < n; ++k) {
      const auto v = static_cast<Compute<T>>(x[8 * b + k]);
      for (int row = 0; row < F::kRows; ++row) packed[row] |= static_cast<unsigned>(f.decide(row, v)) << k;
      y[8 * b + k] = static_cast<T>(f.value(v));
    }
    if (bits != nullptr)
      for (int row = 0; row < F::kRows; ++row) bits[row * bytes + b] = static_cast<std::uint8_t>(packed[row]);
  }
}

// What becomes of an element of dy whose bit is not set.

struct Zero {
  template <class V>
  __device__ V operator()(V) const {
    return V{0};
  }
};
struct Scaled {
  double slope;
  template <class V>
  __device__ V operator()(V dy) const {
    return static_cast<V>(slope) * dy;
  }
};

/// dx = bit ? dy : other(dy)
template <class T, class F>
__global__ void masked_backward_kernel(std::int64_t n, const std::uint8_t* bits, const T* dy, F other,
                                       T* dx) {
  for (std::int64_t i = thread_index(); i < n; i += thread_count()) {
    const bool passes = (bits[i / 8] >> (i % 8) & 1) != 0;
    const auto d = static_cast<Compute<T>>(dy[i]);
    dx[i] = static_cast<T>(passes ? d : other(d));
  }
}

template <class T>
__global__ void abs_backward_kernel(std::int64_t n, std::int64_t bytes, const std::uint8_t* bits, const T* dy,
                                    T* dx) {
  for (std::int64_t i = thread_index(); i < n; i += thread_count()) {
    const bool above = (bits[i / 8] >> (i % 8) & 1) != 0;
    const bool below = (bits[bytes + i / 8] >> (i % 8) & 1) != 0;
    const auto d = static_cast<Compute<T>>(dy[i]);
    dx[i] = static_cast<T>(above ? d : below ? -d : 0 * d);
  }
}

/// Bytes of one bit an element.
std::int64_t mask_bytes(const Tensor& x) { return ceil_div(x.numel(), 8); }

template <class F>
void masked(const char* op, const Tensor& x, Tensor& y, Tensor& mask, F f) {
  visit_any_float(op, x.dtype(), [&]<class T>(TypeTag<T>) {
    launch(x.device(), blocks_for(mask_bytes(x)), kThreads, &masked_kernel<T, F>, x.numel(), mask_bytes(x),
           x.data<T>(), y.mutable_data<T>(), detail::mutable_data_or_null<std::uint8_t>(mask), f);
  });
}

void relu(const Tensor& x, Tensor& y, Tensor& mask) { masked("relu", x, y, mask, Relu{}); }

void leaky_relu(const Tensor& x, double slope, Tensor& y, Tensor& mask) {
  masked("leaky_relu", x, y, mask, LeakyRelu{slope});
}

void clamp(const Tensor& x, double low, double high, Tensor& y, Tensor& mask) {
  masked("clamp", x, y, mask, Clamp{low, high});
}

void abs(const Tensor& x, Tensor& y, Tensor& mask) { masked("abs", x, y, mask, Abs{}); }

template <class F>
void unmasked(const char* op, const Tensor& mask, const Tensor& dy, Tensor& dx, F other) {
  visit_any_float(op, dy.dtype(), [&]<class T>(TypeTag<T>) {
    launch(dy.device(), blocks_for(dy.numel()), kThreads, &masked_backward_kernel<T, F>, dy.numel(),
           mask.data<std::uint8_t>(), dy.data<T>(), other, dx.mutable_data<T>());
  });
}

void masked_backward(const Tensor& mask, const Tensor& dy, Tensor& dx) {
  unmasked("masked_backward", mask, dy, dx, Zero{});
}

void leaky_relu_backward(const Tensor& mask, const Tensor& dy, double slope, Tensor& dx) {
  unmasked("leaky_relu", mask, dy, dx, Scaled{slope});
}

void abs_backward(const Tensor& mask, const Tensor& dy, Tensor& dx) {
  visit_any_float("abs", dy.dtype(), [&]<class T>(TypeTag<T>) {
    launch(dy.device(), blocks_for(dy.numel()), kThreads, &abs_backward_kernel<T>, dy.numel(), mask_bytes(dy),
           mask.data<std::uint8_t>(), dy.data<T>(), dx.mutable_data<T>());
  });
}

}  // namespace

void install_activation() {
  kernel::relu.install(DeviceKind::cuda, &relu);
  kernel::leaky_relu.install(DeviceKind::cuda, &leaky_relu);
  kernel::clamp.install(DeviceKind::cuda, &clamp);
  kernel::abs.install(DeviceKind::cuda, &abs);
  kernel::masked_backward.install(DeviceKind::cuda, &masked_backward);
  kernel::leaky_relu_backward.install(DeviceKind::cuda, &leaky_relu_backward);
  kernel::abs_backward.install(DeviceKind::cuda, &abs_backward);
}

}  // namespace retrace::cuda
