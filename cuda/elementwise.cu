#include <retrace/core/kernels.h>
#include <retrace/core/loops.h>
#include <retrace/cuda/gpu.h>
#include <retrace/cuda/install.h>

#include <cmath>
#include <numbers>

namespace retrace::cuda {

namespace {

// What is computed for an element, in f64 for f64 and in f32 for the others.

struct Add {
  static constexpr const char* kName = "add";
  template <class V>
  __device__ V operator()(V a, V b) const {
    return a + b;
  }
};
struct Sub {
  static constexpr const char* kName = "sub";
  template <class V>
  __device__ V operator()(V a, V b) const {
    return a - b;
  }
};
struct Mul {
  static constexpr const char* kName = "mul";
  template <class V>
  __device__ V operator()(V a, V b) const {
    return a * b;
  }
};
struct Div {
  static constexpr const char* kName = "div";
  template <class V>
  __device__ V operator()(V a, V b) const {
    return a / b;
  }
};
struct ScaleShift {
  double scale;
  double shift;
  template <class V>
  __device__ V operator()(V x) const {
    return static_cast<V>(scale) * x + static_cast<V>(shift);
  }
};
struct Divide {
  double divisor;
  template <class V>
  __device__ V operator()(V x, V) const {
    return x / static_cast<V>(divisor);
  }
};
struct Exp {
  static constexpr const char* kName = "exp";
  template <class V>
  __device__ V operator()(V x) const {
    return std::exp(x);
  }
};
struct Log {
  static constexpr const char* kName = "log";
  template <class V>
  __device__ V operator()(V x) const {
    return std::log(x);
  }
};
struct Sqrt {
  static constexpr const char* kName = "sqrt";
  template <class V>
  __device__ V operator()(V x) const {
    return std::sqrt(x);
  }
};
struct SquareBackward {
  static constexpr const char* kName = "square";
  template <class V>
  __device__ V operator()(V x, V dy) const {
    return 2 * (dy * x);
  }
};
struct SqrtBackward {
  static constexpr const char* kName = "sqrt";
  template <class V>
  __device__ V operator()(V y, V dy) const {
    return dy / (2 * y);
  }
};
struct Tanh {
  static constexpr const char* kName = "tanh";
  template <class V>
  __device__ V operator()(V x) const {
    return std::tanh(x);
  }
};
struct TanhBackward {
  static constexpr const char* kName = "tanh";
  template <class V>
  __device__ V operator()(V y, V dy) const {
    return dy * (1 - y * y);
  }
};

/// 1 / (1 + e^-x), in which nothing overflows.
template <class V>
__device__ V sigmoid_of(V x) {
  const V e = std::exp(-std::abs(x));
  return (x < 0 ? e : V{1}) / (1 + e);
}

struct Sigmoid {
  static constexpr const char* kName = "sigmoid";
  template <class V>
  __device__ V operator()(V x) const {
    return sigmoid_of(x);
  }
};
struct SigmoidBackward {
  static constexpr const char* kName = "sigmoid";
  template <class V>
  __device__ V operator()(V y, V dy) const {
    return dy * y * (1 - y);
  }
};

/// Phi(x) = erfc(-x / sqrt(2)) / 2
template <class V>
__device__ V normal_cdf_of(V x) {
  constexpr V kHalfRoot = static_cast<V>(std::numbers::sqrt2 / 2);
  return std::erfc(-x * kHalfRoot) / 2;
}

struct Gelu {
  static constexpr const char* kName = "gelu";
  template <class V>
  __device__ V operator()(V x) const {
    return x * normal_cdf_of(x);
  }
};
/// dx = dy (Phi(x) + x phi(x)),  phi(x) = e^(-x^2 / 2) / sqrt(2 pi)
struct GeluBackward {
  static constexpr const char* kName = "gelu";
  template <class V>
  __device__ V operator()(V x, V dy) const {
    constexpr V kPhi0 = static_cast<V>(0.5 * std::numbers::sqrt2 * std::numbers::inv_sqrtpi);
    return dy * (normal_cdf_of(x) + x * kPhi0 * std::exp(-x * x / 2));
  }
};

// u = kGeluScale (x + kGeluCubic x^3)
constexpr double kGeluScale = std::numbers::sqrt2 * std::numbers::inv_sqrtpi;
constexpr double kGeluCubic = 0.044715;

/// tanh(u)
template <class V>
__device__ V gelu_tanh_of(V x) {
  return std::tanh(static_cast<V>(kGeluScale) * (x + static_cast<V>(kGeluCubic) * x * x * x));
}

struct GeluTanh {
  static constexpr const char* kName = "gelu";
  template <class V>
  __device__ V operator()(V x) const {
    return x * (1 + gelu_tanh_of(x)) / 2;
  }
};
/// dx = dy ((1 + t) / 2 + x (1 - t^2) u' / 2),  t = tanh(u)
struct GeluTanhBackward {
  static constexpr const char* kName = "gelu";
  template <class V>
  __device__ V operator()(V v, V dy) const {
    const V x = v < -30  ? V{-30}
                : v > 30 ? V{30}
                         : v;  // where tanh is 1 long since, and x^2 far from infinite
    const V t = gelu_tanh_of(x);
    const V du = static_cast<V>(kGeluScale) * (1 + static_cast<V>(3 * kGeluCubic) * x * x);
    return dy * ((1 + t) / 2 + x * (1 - t * t) * du / 2);
  }
};

struct Silu {
  static constexpr const char* kName = "silu";
  template <class V>
  __device__ V operator()(V x) const {
    return x * sigmoid_of(x);
  }
};
/// dx = dy s (1 + x (1 - s)),  s = sigmoid(x)
struct SiluBackward {
  static constexpr const char* kName = "silu";
  template <class V>
  __device__ V operator()(V x, V dy) const {
    return dy * sigmoid_of(x) * (1 + x * sigmoid_of(-x));
  }
};

/// y[i] = f(x[i])
template <class T, class F>
__global__ void map_kernel(std::int64_t n, const T* x, T* y, F f) {
  for (std::int64_t i = thread_index(); i < n; i += thread_count())
    y[i] = static_cast<T>(f(static_cast<Compute<T>>(x[i])));
}

/// z[i] = f(x[i], y[i])
template <class T, class F>
__global__ void map2_kernel(std::int64_t n, const T* x, const T* y, T* z, F f) {
  for (std::int64_t i = thread_index(); i < n; i += thread_count())
    z[i] = static_cast<T>(f(static_cast<Compute<T>>(x[i]), static_cast<Compute<T>>(y[i])));
}

/// The same where x and y are walked by `loops`.
template <class T, class F>
__global__ void broadcast_kernel(std::int64_t n, detail::Loops<2> loops, const T* x, const T* y, T* z, F f) {
  for (std::int64_t i = thread_index(); i < n; i += thread_count()) {
    const auto at = loops.step_offsets(i);
    z[i] = static_cast<T>(f(static_cast<Compute<T>>(x[at[0]]), static_cast<Compute<T>>(y[at[1]])));
  }
}

/// dy = -dz (z / y), where y is walked by `loops`.
template <class T>
__global__ void div_backward_kernel(std::int64_t n, detail::Loops<1> loops, const T* y, const T* z,
                                    const T* dz, T* dy) {
  for (std::int64_t i = thread_index(); i < n; i += thread_count())
    dy[i] = static_cast<T>(
        -static_cast<Compute<T>>(dz[i]) *
        (static_cast<Compute<T>>(z[i]) / static_cast<Compute<T>>(y[loops.step_offsets(i)[0]])));
}

template <class F>
void map(const char* op, const Tensor& x, Tensor& y, F f) {
  visit_any_float(op, x.dtype(), [&]<class T>(TypeTag<T>) {
    launch(x.device(), blocks_for(x.numel()), kThreads, &map_kernel<T, F>, x.numel(), x.data<T>(),
           y.mutable_data<T>(), f);
  });
}

template <class F>
void broadcast(const char* op, const Tensor& x, const Tensor& y, Tensor& out, F f) {
  visit_any_float(op, x.dtype(), [&]<class T>(TypeTag<T>) {
    const Shape& shape = out.shape();
    const std::int64_t n = shape.numel();
    const T* a = x.data<T>();
    const T* b = y.data<T>();
    T* to = out.mutable_data<T>();
    if (x.shape() == shape && y.shape() == shape)
      return launch(x.device(), blocks_for(n), kThreads, &map2_kernel<T, F>, n, a, b, to, f);
    const auto x_strides = detail::broadcast_strides(x.shape(), shape);
    const auto y_strides = detail::broadcast_strides(y.shape(), shape);
    detail::Loops<2> loops;
    for (std::size_t d = 0; d < static_cast<std::size_t>(shape.rank()); ++d)
      loops.push({.extent = shape.begin()[d], .strides = {x_strides[d], y_strides[d]}});
    launch(x.device(), blocks_for(n), kThreads, &broadcast_kernel<T, F>, n, loops, a, b, to, f);
  });
}

// What is installed: F names and computes the operation.

template <class F>
void mapped(const Tensor& x, Tensor& y) {
  map(F::kName, x, y, F{});
}
template <class F>
void mapped2(const Tensor& x, const Tensor& y, Tensor& z) {
  broadcast(F::kName, x, y, z, F{});
}

void div_backward(const Tensor& y, const Tensor& z, const Tensor& dz, Tensor& dy) {
  const Shape& shape = dy.shape();
  const auto strides = detail::broadcast_strides(y.shape(), shape);
  detail::Loops<1> loops;
  for (std::size_t d = 0; d < static_cast<std::size_t>(shape.rank()); ++d)
    loops.push({.extent = shape.begin()[d], .strides = {strides[d]}});
  visit_any_float("div", dy.dtype(), [&]<class T>(TypeTag<T>) {
    launch(dy.device(), blocks_for(dy.numel()), kThreads, &div_backward_kernel<T>, dy.numel(), loops,
           y.data<T>(), z.data<T>(), dz.data<T>(), dy.mutable_data<T>());
  });
}

void broadcast_to(const Tensor& x, double divisor, Tensor& y) {
  broadcast("broadcast_to", x, x, y, Divide{divisor});
}

void scale_shift(const Tensor& x, double scale, double shift, Tensor& y) {
  map("scale_shift", x, y, ScaleShift{scale, shift});
}

}  // namespace

void install_elementwise() {
  kernel::add.install(DeviceKind::cuda, &mapped2<Add>);
  kernel::sub.install(DeviceKind::cuda, &mapped2<Sub>);
  kernel::mul.install(DeviceKind::cuda, &mapped2<Mul>);
  kernel::div.install(DeviceKind::cuda, &mapped2<Div>);
  kernel::div_backward.install(DeviceKind::cuda, &div_backward);
  kernel::broadcast_to.install(DeviceKind::cuda, &broadcast_to);
  kernel::scale_shift.install(DeviceKind::cuda, &scale_shift);
  kernel::exp.install(DeviceKind::cuda, &mapped<Exp>);
  kernel::log.install(DeviceKind::cuda, &mapped<Log>);
  kernel::sqrt.install(DeviceKind::cuda, &mapped<Sqrt>);
  kernel::square_backward.install(DeviceKind::cuda, &mapped2<SquareBackward>);
  kernel::sqrt_backward.install(DeviceKind::cuda, &mapped2<SqrtBackward>);
  kernel::tanh.install(DeviceKind::cuda, &mapped<Tanh>);
  kernel::tanh_backward.install(DeviceKind::cuda, &mapped2<TanhBackward>);
  kernel::sigmoid.install(DeviceKind::cuda, &mapped<Sigmoid>);
  kernel::sigmoid_backward.install(DeviceKind::cuda, &mapped2<SigmoidBackward>);
  kernel::gelu.install(DeviceKind::cuda, &mapped<Gelu>);
  kernel::gelu_backward.install(DeviceKind::cuda, &mapped2<GeluBackward>);
  kernel::gelu_tanh.install(DeviceKind::cuda, &mapped<GeluTanh>);
  kernel::gelu_tanh_backward.install(DeviceKind::cuda, &mapped2<GeluTanhBackward>);
  kernel::silu.install(DeviceKind::cuda, &mapped<Silu>);
  kernel::silu_backward.install(DeviceKind::cuda, &mapped2<SiluBackward>);
}

}  // namespace retrace::cuda
