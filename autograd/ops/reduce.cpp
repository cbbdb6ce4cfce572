#include <retrace/autograd/autocast.h>
#include <retrace/autograd/ops/check.h>
#include <retrace/autograd/ops/reduce.h>
#include <retrace/autograd/record.h>
#include <retrace/core/kernels.h>

namespace retrace {

namespace {

/// y = scale sum(x);  dx = scale dy, repeated
Var scaled_sum(std::string_view op, const Var& x, const ReducedShape& shape, double scale) {
  if (autocast::to_f32(x)) return scaled_sum(op, autocast::in_f32(x), shape, scale);
  detail::check_any_float(op, x);
  Tensor y = like(x.value(), shape.result);
  Tensor sums = y.reshape(shape.kept);
  kernel::sum_to(x.value(), scale, sums);
  return record(op, {x}, y, /*save=*/{},
                [xs = x.shape(), kept = shape.kept, scale](const Tensor& dy, Saved, const Wants&) -> Tensors {
                  Tensor dx = like(dy, xs, Tag::gradient);
                  kernel::broadcast_to(dy.reshape(kept), scale, dx);
                  return {dx};
                });
}

/// The number of elements of x in one of the result, inverted.
double mean_scale(const Shape& x, const ReducedShape& shape) {
  return static_cast<double>(shape.result.numel()) / static_cast<double>(x.numel());
}

/// All dimensions; a scalar has none to name.
ReducedShape reduce_all(const Shape& x) {
  ReducedShape shape{.kept = x, .result = {}};
  for (int d = 0; d < x.rank(); ++d) shape.kept = shape.kept.with(d, 1);
  return shape;
}

}  // namespace

Var sum(const Var& x) { return scaled_sum("sum", x, reduce_all(x.shape()), 1); }

Var sum(const Var& x, const std::vector<int>& dims, bool keepdim) {
  return scaled_sum("sum", x, reduced_shape("sum", x.shape(), dims, keepdim), 1);
}

Var mean(const Var& x) {
  const ReducedShape shape = reduce_all(x.shape());
  return scaled_sum("mean", x, shape, mean_scale(x.shape(), shape));
}

Var mean(const Var& x, const std::vector<int>& dims, bool keepdim) {
  const ReducedShape shape = reduced_shape("mean", x.shape(), dims, keepdim);
  return scaled_sum("mean", x, shape, mean_scale(x.shape(), shape));
}

Tensor argmax(const Tensor& x) {
  detail::check_defined("argmax", "x", x);
  const bool scalar = x.shape().rank() == 0;
  Tensor y(scalar ? Shape() : x.shape().without(-1), DType::i64, Tag::activation, x.device());
  kernel::argmax(scalar ? x.reshape({1}) : x, y);
  y.storage().set_op("argmax");
  return y;
}

}  // namespace retrace
