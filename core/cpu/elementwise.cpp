#include <retrace/core/cpu/parallel.h>
#include <retrace/core/kernels.h>
#include <retrace/core/shape_rules.h>

#include <array>
#include <cmath>

namespace retrace {

namespace {

using cpu::kGrain;
using cpu::parallel_for;

/// y[i] = f(x[i]).
template <class T, class F>
void map(const Tensor& x, Tensor& y, F f) {
  const T* from = x.data<T>();
  T* to = y.mutable_data<T>();
  parallel_for(x.numel(), kGrain, [=](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) to[i] = f(from[i]);
  });
}

/// z[i] = f(x[i], y[i]).
template <class T, class F>
void map(const Tensor& x, const Tensor& y, Tensor& z, F f) {
  const T* a = x.data<T>();
  const T* b = y.data<T>();
  T* to = z.mutable_data<T>();
  parallel_for(x.numel(), kGrain, [=](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) to[i] = f(a[i], b[i]);
  });
}

/// Steps in elements for walking `x` as if it had the shape `out`: 0 in the dimensions that are broadcast.
std::array<std::int64_t, Shape::kMaxRank> broadcast_strides(const Shape& x, const Shape& out) {
  std::array<std::int64_t, Shape::kMaxRank> strides{};
  std::int64_t stride = 1;
  for (int d = 1; d <= x.rank(); ++d) {
    strides[static_cast<std::size_t>(out.rank() - d)] = x[-d] == 1 ? 0 : stride;
    stride *= x[-d];
  }
  return strides;
}

/// out = f(x, y) with broadcasting: one innermost row of `out` at a time.
template <class T, class F>
void broadcast(const Tensor& x, const Tensor& y, Tensor& out, F f) {
  if (x.shape() == y.shape()) {
    map<T>(x, y, out, f);
    return;
  }
  const Shape shape = out.shape();
  const auto x_strides = broadcast_strides(x.shape(), shape);
  const auto y_strides = broadcast_strides(y.shape(), shape);
  const int last = shape.rank() - 1;
  const std::int64_t row = shape[last];
  const std::int64_t x_step = x_strides[static_cast<std::size_t>(last)];
  const std::int64_t y_step = y_strides[static_cast<std::size_t>(last)];
  const T* a = x.data<T>();
  const T* b = y.data<T>();
  T* to = out.mutable_data<T>();
  parallel_for(shape.numel() / row, std::max<std::int64_t>(1, kGrain / row),
               [=](std::int64_t begin, std::int64_t end) {
                 for (std::int64_t r = begin; r < end; ++r) {
                   std::int64_t rest = r;
                   std::int64_t xi = 0;
                   std::int64_t yi = 0;
                   for (int d = last - 1; d >= 0; --d) {
                     const std::int64_t index = rest % shape[d];
                     rest /= shape[d];
                     xi += index * x_strides[static_cast<std::size_t>(d)];
                     yi += index * y_strides[static_cast<std::size_t>(d)];
                   }
                   T* z = to + r * row;
                   for (std::int64_t i = 0; i < row; ++i) z[i] = f(a[xi + i * x_step], b[yi + i * y_step]);
                 }
               });
}

void add_cpu(const Tensor& x, const Tensor& y, Tensor& out) {
  visit_float("add", x.dtype(),
              [&]<class T>(TypeTag<T>) { broadcast<T>(x, y, out, [](T a, T b) { return a + b; }); });
}

void sub_cpu(const Tensor& x, const Tensor& y, Tensor& out) {
  visit_float("sub", x.dtype(),
              [&]<class T>(TypeTag<T>) { broadcast<T>(x, y, out, [](T a, T b) { return a - b; }); });
}

void mul_cpu(const Tensor& x, const Tensor& y, Tensor& out) {
  visit_float("mul", x.dtype(),
              [&]<class T>(TypeTag<T>) { broadcast<T>(x, y, out, [](T a, T b) { return a * b; }); });
}

void div_cpu(const Tensor& x, const Tensor& y, Tensor& out) {
  visit_float("div", x.dtype(),
              [&]<class T>(TypeTag<T>) { broadcast<T>(x, y, out, [](T a, T b) { return a / b; }); });
}

void scale_shift_cpu(const Tensor& x, double scale, double shift, Tensor& y) {
  visit_float("scale_shift", x.dtype(), [&]<class T>(TypeTag<T>) {
    map<T>(x, y, [a = static_cast<T>(scale), b = static_cast<T>(shift)](T v) { return a * v + b; });
  });
}

void exp_cpu(const Tensor& x, Tensor& y) {
  visit_float("exp", x.dtype(), [&]<class T>(TypeTag<T>) { map<T>(x, y, [](T v) { return std::exp(v); }); });
}

void tanh_cpu(const Tensor& x, Tensor& y) {
  visit_float("tanh", x.dtype(),
              [&]<class T>(TypeTag<T>) { map<T>(x, y, [](T v) { return std::tanh(v); }); });
}

void tanh_backward_cpu(const Tensor& y, const Tensor& dy, Tensor& dx) {
  visit_float("tanh", y.dtype(),
              [&]<class T>(TypeTag<T>) { map<T>(y, dy, dx, [](T v, T d) { return d * (1 - v * v); }); });
}

}  // namespace

constinit decltype(kernel::add) kernel::add{&add_cpu};
constinit decltype(kernel::sub) kernel::sub{&sub_cpu};
constinit decltype(kernel::mul) kernel::mul{&mul_cpu};
constinit decltype(kernel::div) kernel::div{&div_cpu};
constinit decltype(kernel::scale_shift) kernel::scale_shift{&scale_shift_cpu};
constinit decltype(kernel::exp) kernel::exp{&exp_cpu};
constinit decltype(kernel::tanh) kernel::tanh{&tanh_cpu};
constinit decltype(kernel::tanh_backward) kernel::tanh_backward{&tanh_backward_cpu};

}  // namespace retrace
