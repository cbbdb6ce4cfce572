#include <retrace/autograd/ops/check.h>
#include <retrace/autograd/ops/pool.h>
#include <retrace/autograd/record.h>
#include <retrace/core/kernels.h>

namespace retrace {

Var max_pool2d(const Var& x, const Pool2dOptions& options) {
  detail::check_any_float("max_pool2d", x);
  const Shape shape = pool2d_shape("max_pool2d", x.shape(), options);
  Tensor y = like(x.value(), shape);
  Tensor indices =
      make_saved(needs_gradient(x), [&] { return Tensor(shape, DType::i32, Tag::saved, y.device()); });
  kernel::max_pool2d(x.value(), options, y, indices);
  return record("max_pool2d", {x}, y, /*save=*/{indices},
                [x_shape = x.shape(), options](const Tensor& dy, Saved saved, const Wants&) -> Tensors {
                  Tensor dx = like(dy, x_shape, Tag::gradient);
                  kernel::max_pool2d_backward(dy, saved[0], options, dx);
                  return {dx};
                });
}

Var avg_pool2d(const Var& x, const Pool2dOptions& options) {
  detail::check_any_float("avg_pool2d", x);
  const Shape shape = pool2d_shape("avg_pool2d", x.shape(), options);
  Tensor y = like(x.value(), shape);
  kernel::avg_pool2d(x.value(), options, y);
  return record("avg_pool2d", {x}, y, /*save=*/{},
                [x_shape = x.shape(), options](const Tensor& dy, Saved, const Wants&) -> Tensors {
                  Tensor dx = like(dy, x_shape, Tag::gradient);
                  kernel::avg_pool2d_backward(dy, options, dx);
                  return {dx};
                });
}

Var adaptive_avg_pool2d(const Var& x, Size2d out) {
  detail::check_any_float("adaptive_avg_pool2d", x);
  const Shape shape = adaptive_pool2d_shape("adaptive_avg_pool2d", x.shape(), out);
  Tensor y = like(x.value(), shape);
  kernel::adaptive_avg_pool2d(x.value(), y);
  return record("adaptive_avg_pool2d", {x}, y, /*save=*/{},
                [x_shape = x.shape()](const Tensor& dy, Saved, const Wants&) -> Tensors {
                  Tensor dx = like(dy, x_shape, Tag::gradient);
                  kernel::adaptive_avg_pool2d_backward(dy, dx);
                  return {dx};
                });
}

}  // namespace retrace
