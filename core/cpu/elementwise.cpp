#include <retrace/core/cpu/exp.h>
#include <retrace/core/cpu/parallel.h>
#include <retrace/core/cpu/reduced_float.h>
#include <retrace/core/kernels.h>
#include <retrace/core/loops.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

namespace retrace {

namespace {

using cpu::kGrain;
using cpu::parallel_for;

// `omp simd` promises that steps are independent, which holds where the result is one of the operands too.

// f takes and gives what T is computed in: for bf16 and f16, floats.

/// y[i] = f(x[i]).
template <class T, class F>
void map(const Tensor& x, Tensor& y, F f) {
  const T* from = x.data<T>();
  T* to = y.mutable_data<T>();
  parallel_for(x.numel(), kGrain, [=](std::int64_t begin, std::int64_t end) {
#pragma omp simd
    for (std::int64_t i = begin; i < end; ++i) cpu::put(to[i], f(static_cast<Compute<T>>(from[i])));
  });
}

/// z[i] = f(x[i], y[i]).
template <class T, class F>
void map(const Tensor& x, const Tensor& y, Tensor& z, F f) {
  const T* a = x.data<T>();
  const T* b = y.data<T>();
  T* to = z.mutable_data<T>();
  parallel_for(x.numel(), kGrain, [=](std::int64_t begin, std::int64_t end) {
#pragma omp simd
    for (std::int64_t i = begin; i < end; ++i)
      cpu::put(to[i], f(static_cast<Compute<T>>(a[i]), static_cast<Compute<T>>(b[i])));
  });
}

/// One row z[i] = f(a[i A], b[i B]) with steps A and B of 0 or 1 that the compiler knows.
template <int A, int B, class T, class F>
void map_row(const T* a, const T* b, T* z, std::int64_t n, F f) {
  if constexpr (A == 0 && B == 0) {
    T value;
    cpu::put(value, f(static_cast<Compute<T>>(*a), static_cast<Compute<T>>(*b)));
    std::fill_n(z, n, value);
    return;
  }
#pragma omp simd
  for (std::int64_t i = 0; i < n; ++i)
    cpu::put(z[i], f(static_cast<Compute<T>>(a[i * A]), static_cast<Compute<T>>(b[i * B])));
}

/// out = f(x, y) with broadcasting: one innermost row of `out` at a time.
template <class T, class F>
void broadcast(const Tensor& x, const Tensor& y, Tensor& out, F f) {
  if (x.shape() == out.shape() && y.shape() == out.shape()) {
    map<T>(x, y, out, f);
    return;
  }
  const Shape& shape = out.shape();
  const auto x_strides = detail::broadcast_strides(x.shape(), shape);
  const auto y_strides = detail::broadcast_strides(y.shape(), shape);
  detail::Loops<2> loops;
  for (std::size_t d = 0; d < static_cast<std::size_t>(shape.rank()); ++d)
    loops.push({.extent = shape.begin()[d], .strides = {x_strides[d], y_strides[d]}});
  const detail::Loops<2>::Axis row = loops.innermost();
  const T* a = x.data<T>();
  const T* b = y.data<T>();
  T* to = out.mutable_data<T>();
  const auto run = [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t r = begin; r < end; ++r) {
      const std::array<std::int64_t, 2> at = loops.row_offsets(r);
      T* z = to + r * row.extent;
      if (row.strides == std::array<std::int64_t, 2>{})
        map_row<0, 0>(a + at[0], b + at[1], z, row.extent, f);
      else if (row.strides[0] == 0)
        map_row<0, 1>(a + at[0], b + at[1], z, row.extent, f);
      else if (row.strides[1] == 0)
        map_row<1, 0>(a + at[0], b + at[1], z, row.extent, f);
      else
        map_row<1, 1>(a + at[0], b + at[1], z, row.extent, f);
    }
  };
  parallel_for(shape.numel() / row.extent, std::max<std::int64_t>(1, kGrain / row.extent), run);
}

void add_cpu(const Tensor& x, const Tensor& y, Tensor& out) {
  visit_any_float("add", x.dtype(), [&]<class T>(TypeTag<T>) {
    broadcast<T>(x, y, out, [](auto a, auto b) { return a + b; });
  });
}

void sub_cpu(const Tensor& x, const Tensor& y, Tensor& out) {
  visit_any_float("sub", x.dtype(), [&]<class T>(TypeTag<T>) {
    broadcast<T>(x, y, out, [](auto a, auto b) { return a - b; });
  });
}

void mul_cpu(const Tensor& x, const Tensor& y, Tensor& out) {
  visit_any_float("mul", x.dtype(), [&]<class T>(TypeTag<T>) {
    broadcast<T>(x, y, out, [](auto a, auto b) { return a * b; });
  });
}

void div_cpu(const Tensor& x, const Tensor& y, Tensor& out) {
  visit_any_float("div", x.dtype(), [&]<class T>(TypeTag<T>) {
    broadcast<T>(x, y, out, [](auto a, auto b) { return a / b; });
  });
}

/// dy[i] = -dz[i] (z[i] / y[i B]) for a row, with a step B of 0 or 1.
template <int B, class T>
void div_backward_row(const T* y, const T* z, const T* dz, T* dy, std::int64_t n) {
#pragma omp simd
  for (std::int64_t i = 0; i < n; ++i)
    cpu::put(dy[i], -static_cast<Compute<T>>(dz[i]) *
                        (static_cast<Compute<T>>(z[i]) / static_cast<Compute<T>>(y[i * B])));
}

void div_backward_cpu(const Tensor& y, const Tensor& z, const Tensor& dz, Tensor& dy) {
  const Shape& shape = dy.shape();
  const auto strides = detail::broadcast_strides(y.shape(), shape);
  detail::Loops<1> loops;
  for (std::size_t d = 0; d < static_cast<std::size_t>(shape.rank()); ++d)
    loops.push({.extent = shape.begin()[d], .strides = {strides[d]}});
  const std::int64_t row = loops.innermost().extent;
  const std::int64_t step = loops.innermost().strides[0] == 0 ? 0 : 1;
  visit_any_float("div", dy.dtype(), [&]<class T>(TypeTag<T>) {
    const auto divide = step == 0 ? &div_backward_row<0, T> : &div_backward_row<1, T>;
    const auto run = [=, &loops, a = y.data<T>(), b = z.data<T>(), c = dz.data<T>(),
                      to = dy.mutable_data<T>()](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin, n = 0; i < end; i += n) {
        n = std::min(end - i, row - i % row);
        divide(a + loops.row_offsets(i / row)[0] + i % row * step, b + i, c + i, to + i, n);
      }
    };
    parallel_for(shape.numel(), kGrain, run);
  });
}

void broadcast_to_cpu(const Tensor& x, double divisor, Tensor& y) {
  visit_any_float("broadcast_to", x.dtype(), [&]<class T>(TypeTag<T>) {
    if (divisor == 1)
      broadcast<T>(x, x, y, [](auto a, auto) { return a; });
    else
      broadcast<T>(x, x, y, [d = static_cast<Compute<T>>(divisor)](auto a, auto) { return a / d; });
  });
}

void scale_shift_cpu(const Tensor& x, double scale, double shift, Tensor& y) {
  visit_any_float("scale_shift", x.dtype(), [&]<class T>(TypeTag<T>) {
    map<T>(x, y, [a = static_cast<Compute<T>>(scale), b = static_cast<Compute<T>>(shift)](auto v) {
      return a * v + b;
    });
  });
}

void exp_cpu(const Tensor& x, Tensor& y) {
  visit_any_float("exp", x.dtype(),
                  [&]<class T>(TypeTag<T>) { map<T>(x, y, [](auto v) { return cpu::exp_of(v); }); });
}

void log_cpu(const Tensor& x, Tensor& y) {
  visit_any_float("log", x.dtype(),
                  [&]<class T>(TypeTag<T>) { map<T>(x, y, [](auto v) { return std::log(v); }); });
}

void sqrt_cpu(const Tensor& x, Tensor& y) {
  visit_any_float("sqrt", x.dtype(),
                  [&]<class T>(TypeTag<T>) { map<T>(x, y, [](auto v) { return std::sqrt(v); }); });
}

void square_backward_cpu(const Tensor& x, const Tensor& dy, Tensor& dx) {
  visit_any_float("square", x.dtype(), [&]<class T>(TypeTag<T>) {
    map<T>(x, dy, dx, [](auto v, auto d) { return 2 * (d * v); });
  });
}

void sqrt_backward_cpu(const Tensor& y, const Tensor& dy, Tensor& dx) {
  visit_any_float("sqrt", y.dtype(), [&]<class T>(TypeTag<T>) {
    map<T>(y, dy, dx, [](auto v, auto d) { return d / (2 * v); });
  });
}

void tanh_cpu(const Tensor& x, Tensor& y) {
  visit_any_float("tanh", x.dtype(),
                  [&]<class T>(TypeTag<T>) { map<T>(x, y, [](auto v) { return cpu::tanh_of(v); }); });
}

void tanh_backward_cpu(const Tensor& y, const Tensor& dy, Tensor& dx) {
  visit_any_float("tanh", y.dtype(), [&]<class T>(TypeTag<T>) {
    map<T>(y, dy, dx, [](auto v, auto d) { return d * (1 - v * v); });
  });
}

void sigmoid_cpu(const Tensor& x, Tensor& y) {
  visit_any_float("sigmoid", x.dtype(),
                  [&]<class T>(TypeTag<T>) { map<T>(x, y, [](auto v) { return cpu::sigmoid_of(v); }); });
}

void sigmoid_backward_cpu(const Tensor& y, const Tensor& dy, Tensor& dx) {
  visit_any_float("sigmoid", y.dtype(), [&]<class T>(TypeTag<T>) {
    map<T>(y, dy, dx, [](auto v, auto d) { return d * v * (1 - v); });
  });
}

/// dx = dy (Phi(x) + x phi(x)),  phi(x) = e^(-x^2 / 2) / sqrt(2 pi)
template <class T>
T gelu_slope(T x) {
  constexpr double kPhi0 = 0.5 * std::numbers::sqrt2 * std::numbers::inv_sqrtpi;
  return cpu::normal_cdf_of(x) + x * static_cast<T>(kPhi0) * cpu::exp_of(-x * x / 2);
}

// u = kGeluScale (x + kGeluCubic x^3)
constexpr double kGeluScale = std::numbers::sqrt2 * std::numbers::inv_sqrtpi;
constexpr double kGeluCubic = 0.044715;

/// tanh(u)
template <class T>
T gelu_tanh_of(T x) {
  return cpu::tanh_of(static_cast<T>(kGeluScale) * (x + static_cast<T>(kGeluCubic) * x * x * x));
}

/// dx = dy ((1 + t) / 2 + x (1 - t^2) u' / 2),  t = tanh(u)
template <class T>
T gelu_tanh_slope(T x) {
  x = std::clamp(x, T{-30}, T{30});  // where tanh is 1 long since, and x^2 far from infinite
  const T t = gelu_tanh_of(x);
  const T du = static_cast<T>(kGeluScale) * (1 + static_cast<T>(3 * kGeluCubic) * x * x);
  return (1 + t) / 2 + x * (1 - t * t) * du / 2;
}

void gelu_cpu(const Tensor& x, Tensor& y) {
  visit_any_float("gelu", x.dtype(), [&]<class T>(TypeTag<T>) {
    map<T>(x, y, [](auto v) { return v * cpu::normal_cdf_of(v); });
  });
}

void gelu_backward_cpu(const Tensor& x, const Tensor& dy, Tensor& dx) {
  visit_any_float("gelu", x.dtype(), [&]<class T>(TypeTag<T>) {
    map<T>(x, dy, dx, [](auto v, auto d) { return d * gelu_slope(v); });
  });
}

void gelu_tanh_cpu(const Tensor& x, Tensor& y) {
  visit_any_float("gelu", x.dtype(), [&]<class T>(TypeTag<T>) {
    map<T>(x, y, [](auto v) { return v * (1 + gelu_tanh_of(v)) / 2; });
  });
}

void gelu_tanh_backward_cpu(const Tensor& x, const Tensor& dy, Tensor& dx) {
  visit_any_float("gelu", x.dtype(), [&]<class T>(TypeTag<T>) {
    map<T>(x, dy, dx, [](auto v, auto d) { return d * gelu_tanh_slope(v); });
  });
}

void silu_cpu(const Tensor& x, Tensor& y) {
  visit_any_float("silu", x.dtype(),
                  [&]<class T>(TypeTag<T>) { map<T>(x, y, [](auto v) { return v * cpu::sigmoid_of(v); }); });
}

/// dx = dy s (1 + x (1 - s)),  s = sigmoid(x)
void silu_backward_cpu(const Tensor& x, const Tensor& dy, Tensor& dx) {
  visit_any_float("silu", x.dtype(), [&]<class T>(TypeTag<T>) {
    map<T>(x, dy, dx, [](auto v, auto d) { return d * cpu::sigmoid_of(v) * (1 + v * cpu::sigmoid_of(-v)); });
  });
}

}  // namespace

constinit decltype(kernel::add) kernel::add{&add_cpu};
constinit decltype(kernel::sub) kernel::sub{&sub_cpu};
constinit decltype(kernel::mul) kernel::mul{&mul_cpu};
constinit decltype(kernel::div) kernel::div{&div_cpu};
constinit decltype(kernel::div_backward) kernel::div_backward{&div_backward_cpu};
constinit decltype(kernel::broadcast_to) kernel::broadcast_to{&broadcast_to_cpu};
constinit decltype(kernel::scale_shift) kernel::scale_shift{&scale_shift_cpu};
constinit decltype(kernel::exp) kernel::exp{&exp_cpu};
constinit decltype(kernel::log) kernel::log{&log_cpu};
constinit decltype(kernel::sqrt) kernel::sqrt{&sqrt_cpu};
constinit decltype(kernel::square_backward) kernel::square_backward{&square_backward_cpu};
constinit decltype(kernel::sqrt_backward) kernel::sqrt_backward{&sqrt_backward_cpu};
constinit decltype(kernel::tanh) kernel::tanh{&tanh_cpu};
constinit decltype(kernel::tanh_backward) kernel::tanh_backward{&tanh_backward_cpu};
constinit decltype(kernel::sigmoid) kernel::sigmoid{&sigmoid_cpu};
constinit decltype(kernel::sigmoid_backward) kernel::sigmoid_backward{&sigmoid_backward_cpu};
constinit decltype(kernel::gelu) kernel::gelu{&gelu_cpu};
constinit decltype(kernel::gelu_backward) kernel::gelu_backward{&gelu_backward_cpu};
constinit decltype(kernel::gelu_tanh) kernel::gelu_tanh{&gelu_tanh_cpu};
constinit decltype(kernel::gelu_tanh_backward) kernel::gelu_tanh_backward{&gelu_tanh_backward_cpu};
constinit decltype(kernel::silu) kernel::silu{&silu_cpu};
constinit decltype(kernel::silu_backward) kernel::silu_backward{&silu_backward_cpu};

}  // namespace retrace
