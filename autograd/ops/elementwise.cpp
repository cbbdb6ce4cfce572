#include <retrace/autograd/autocast.h>
#include <retrace/autograd/ops/broadcast.h>
#include <retrace/autograd/ops/cast.h>
#include <retrace/autograd/ops/check.h>
#include <retrace/autograd/ops/elementwise.h>
#include <retrace/autograd/record.h>
#include <retrace/core/kernels.h>

namespace retrace {

namespace {

/// An uninitialised tensor for x op y.
Tensor broadcast_like(std::string_view op, const Var& x, const Var& y) {
  detail::check_pair(op, x, y);
  return like(x.value(), broadcast_shape(op, x.shape(), y.shape()));
}

/// `x` where the gradient that needs it is wanted, else undefined.
Tensor save_if(bool needed, const Tensor& x) { return needed ? x : Tensor(); }

/// op(x, y) of both in their wider type.
Var in_wider(Var (*op)(const Var&, const Var&), const Var& x, const Var& y) {
  const DType dtype = wider(x.dtype(), y.dtype());
  return op(cast(x, dtype), cast(y, dtype));
}

/// a b, a gradient.
Tensor product(const Tensor& a, const Tensor& b) {
  Tensor result = like(a, Tag::gradient);
  kernel::mul(a, b, result);
  return result;
}

}  // namespace

/// dx = dz;  dy = dz
Var add(const Var& x, const Var& y) {
  if (autocast::to_wider(x, y)) return in_wider(add, x, y);
  Tensor z = broadcast_like("add", x, y);
  kernel::add(x.value(), y.value(), z);
  return record("add", {x, y}, z, /*save=*/{},
                [xs = x.shape(), ys = y.shape()](const Tensor& dz, Saved, const Wants& wants) -> Tensors {
                  return {wants[0] ? detail::sum_back(dz, xs) : Tensor(),
                          wants[1] ? detail::sum_back(dz, ys) : Tensor()};
                });
}

/// dx = dz;  dy = -dz
Var sub(const Var& x, const Var& y) {
  if (autocast::to_wider(x, y)) return in_wider(sub, x, y);
  Tensor z = broadcast_like("sub", x, y);
  kernel::sub(x.value(), y.value(), z);
  return record("sub", {x, y}, z, /*save=*/{},
                [xs = x.shape(), ys = y.shape()](const Tensor& dz, Saved, const Wants& wants) -> Tensors {
                  Tensors d(2);
                  if (wants[0]) d[0] = detail::sum_back(dz, xs);
                  if (wants[1]) {
                    d[1] = like(dz, ys, Tag::gradient);
                    kernel::scale_shift(detail::sum_back(dz, ys), -1, 0, d[1]);
                  }
                  return d;
                });
}

/// dx = dz y;  dy = dz x
Var mul(const Var& x, const Var& y) {
  if (autocast::to_wider(x, y)) return in_wider(mul, x, y);
  Tensor z = broadcast_like("mul", x, y);
  kernel::mul(x.value(), y.value(), z);
  return record(
      "mul", {x, y}, z,
      /*save=*/{save_if(needs_gradient(y), x.value()), save_if(needs_gradient(x), y.value())},
      [xs = x.shape(), ys = y.shape()](const Tensor& dz, Saved saved, const Wants& wants) -> Tensors {
        return {wants[0] ? detail::sum_back(product(dz, saved[1]), xs) : Tensor(),
                wants[1] ? detail::sum_back(product(dz, saved[0]), ys) : Tensor()};
      });
}

/// dx = dz / y;  dy = -dz z / y
Var div(const Var& x, const Var& y) {
  if (autocast::to_wider(x, y)) return in_wider(div, x, y);
  Tensor z = broadcast_like("div", x, y);
  kernel::div(x.value(), y.value(), z);
  return record(
      "div", {x, y}, z, /*save=*/{y.value(), save_if(needs_gradient(y), z)},
      [xs = x.shape(), ys = y.shape()](const Tensor& dz, Saved saved, const Wants& wants) -> Tensors {
        Tensors d(2);
        Tensor quotient = like(dz, Tag::gradient);
        kernel::div(dz, saved[0], quotient);
        if (wants[0]) d[0] = detail::sum_back(quotient, xs);
        if (wants[1]) {
          Tensor scaled = product(quotient, saved[1]);
          kernel::scale_shift(scaled, -1, 0, scaled);
          d[1] = detail::sum_back(scaled, ys);
        }
        return d;
      });
}

/// dx = scale dy
Var detail::scale_shift(std::string_view op, const Var& x, double scale, double shift) {
  Tensor y = result_like(op, x);
  kernel::scale_shift(x.value(), scale, shift, y);
  return record("scale_shift", {x}, y, /*save=*/{},
                [scale](const Tensor& dy, Saved, const Wants&) -> Tensors {
                  if (scale == 1) return {dy};
                  Tensor dx = like(dy, Tag::gradient);
                  kernel::scale_shift(dy, scale, 0, dx);
                  return {dx};
                });
}

Var scale_shift(const Var& x, double scale, double shift) {
  return detail::scale_shift("scale_shift", x, scale, shift);
}

Var reciprocal(const Var& x, double a) {
  if (autocast::to_f32(x)) return reciprocal(autocast::in_f32(x), a);
  detail::check_any_float("reciprocal", x);
  return div(Tensor::full({}, a, x.dtype(), Tag::activation, x.value().device()), x);
}

Var neg(const Var& x) { return detail::scale_shift("neg", x, -1, 0); }

/// dx = dy y
Var exp(const Var& x) {
  if (autocast::to_f32(x)) return exp(autocast::in_f32(x));
  Tensor y = detail::result_like("exp", x);
  kernel::exp(x.value(), y);
  return record("exp", {x}, y, /*save=*/{y}, [](const Tensor& dy, Saved saved, const Wants&) -> Tensors {
    return {product(dy, saved[0])};
  });
}

/// dx = dy / x
Var log(const Var& x) {
  if (autocast::to_f32(x)) return log(autocast::in_f32(x));
  Tensor y = detail::result_like("log", x);
  kernel::log(x.value(), y);
  return record("log", {x}, y, /*save=*/{x.value()},
                [](const Tensor& dy, Saved saved, const Wants&) -> Tensors {
                  Tensor dx = like(dy, Tag::gradient);
                  kernel::div(dy, saved[0], dx);
                  return {dx};
                });
}

/// dx = dy / 2y
Var sqrt(const Var& x) {
  Tensor y = detail::result_like("sqrt", x);
  kernel::sqrt(x.value(), y);
  return record("sqrt", {x}, y, /*save=*/{y}, [](const Tensor& dy, Saved saved, const Wants&) -> Tensors {
    Tensor dx = like(dy, Tag::gradient);
    kernel::sqrt_backward(saved[0], dy, dx);
    return {dx};
  });
}

/// dx = 2 x dy
Var square(const Var& x) {
  if (autocast::to_f32(x)) return square(autocast::in_f32(x));
  Tensor y = detail::result_like("square", x);
  kernel::mul(x.value(), x.value(), y);
  return record("square", {x}, y, /*save=*/{x.value()},
                [](const Tensor& dy, Saved saved, const Wants&) -> Tensors {
                  Tensor dx = product(dy, saved[0]);
                  kernel::scale_shift(dx, 2, 0, dx);
                  return {dx};
                });
}

/// dx = dy (1 - y^2)
Var tanh(const Var& x) {
  Tensor y = detail::result_like("tanh", x);
  kernel::tanh(x.value(), y);
  return record("tanh", {x}, y, /*save=*/{y}, [](const Tensor& dy, Saved saved, const Wants&) -> Tensors {
    Tensor dx = like(dy, Tag::gradient);
    kernel::tanh_backward(saved[0], dy, dx);
    return {dx};
  });
}

/// dx = dy y (1 - y)
Var sigmoid(const Var& x) {
  Tensor y = detail::result_like("sigmoid", x);
  kernel::sigmoid(x.value(), y);
  return record("sigmoid", {x}, y, /*save=*/{y}, [](const Tensor& dy, Saved saved, const Wants&) -> Tensors {
    Tensor dx = like(dy, Tag::gradient);
    kernel::sigmoid_backward(saved[0], dy, dx);
    return {dx};
  });
}

/// dx = dy s (1 + x (1 - s)),  s = sigmoid(x)
Var silu(const Var& x) {
  Tensor y = detail::result_like("silu", x);
  kernel::silu(x.value(), y);
  return record("silu", {x}, y, /*save=*/{x.value()},
                [](const Tensor& dy, Saved saved, const Wants&) -> Tensors {
                  Tensor dx = like(dy, Tag::gradient);
                  kernel::silu_backward(saved[0], dy, dx);
                  return {dx};
                });
}

/// dx = dy (Phi(x) + x phi(x)), of the normal distribution, or the derivative of the approximation
Var gelu(const Var& x, GeluApproximation approximate) {
  const bool exact = approximate == GeluApproximation::none;
  Tensor y = detail::result_like("gelu", x);
  (exact ? kernel::gelu : kernel::gelu_tanh)(x.value(), y);
  return record("gelu", {x}, y, /*save=*/{x.value()},
                [exact](const Tensor& dy, Saved saved, const Wants&) -> Tensors {
                  Tensor dx = like(dy, Tag::gradient);
                  (exact ? kernel::gelu_backward : kernel::gelu_tanh_backward)(saved[0], dy, dx);
                  return {dx};
                });
}

}  // namespace retrace
