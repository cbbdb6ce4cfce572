#include <retrace/autograd/autocast.h>
#include <retrace/autograd/ops/check.h>
#include <retrace/autograd/ops/softmax.h>
#include <retrace/autograd/record.h>
#include <retrace/core/kernels.h>
#include <retrace/core/shape_rules.h>

namespace retrace {

namespace {

/// x, or the one element of a scalar as a line.
Tensor lines(const Tensor& x) { return x.shape().rank() == 0 ? x.reshape({1}) : x; }

}  // namespace

/// dx = y (dy - sum(y dy))
Var softmax(const Var& x, int dim) {
  if (autocast::to_f32(x)) return softmax(autocast::in_f32(x), dim);
  detail::check_float("softmax", x);
  const int d = dimension_of("softmax", x.shape(), dim);
  Tensor y = like(x.value());
  Tensor ys = lines(y);
  kernel::softmax(lines(x.value()), d, ys);
  return record("softmax", {x}, y, /*save=*/{y}, [d](const Tensor& dy, Saved saved, const Wants&) -> Tensors {
    Tensor dx = like(dy, Tag::gradient);
    Tensor dxs = lines(dx);
    kernel::softmax_backward(lines(saved[0]), lines(dy), d, dxs);
    return {dx};
  });
}

/// dx = dy - e^y sum(dy)
Var log_softmax(const Var& x, int dim) {
  if (autocast::to_f32(x)) return log_softmax(autocast::in_f32(x), dim);
  detail::check_float("log_softmax", x);
  const int d = dimension_of("log_softmax", x.shape(), dim);
  Tensor y = like(x.value());
  Tensor ys = lines(y);
  kernel::log_softmax(lines(x.value()), d, ys);
  return record("log_softmax", {x}, y, /*save=*/{y},
                [d](const Tensor& dy, Saved saved, const Wants&) -> Tensors {
                  Tensor dx = like(dy, Tag::gradient);
                  Tensor dxs = lines(dx);
                  kernel::log_softmax_backward(lines(saved[0]), lines(dy), d, dxs);
                  return {dx};
                });
}

}  // namespace retrace
