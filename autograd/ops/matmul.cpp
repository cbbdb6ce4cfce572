#include <retrace/autograd/autocast.h>
#include <retrace/autograd/ops/broadcast.h>
#include <retrace/autograd/ops/check.h>
#include <retrace/autograd/ops/copy.h>
#include <retrace/autograd/ops/matmul.h>
#include <retrace/autograd/record.h>
#include <retrace/core/kernels.h>

namespace retrace {

namespace {

/// The product where a, b or both are vectors: of a row and a column.
Var vector_product(const Var& a, const Var& b, MatmulOptions options, const Shape& shape) {
  const bool a_vector = a.shape().rank() == 1;
  const bool b_vector = b.shape().rank() == 1;
  options.transpose_a = options.transpose_a && !a_vector;
  options.transpose_b = options.transpose_b && !b_vector;
  return reshape(matmul(a_vector ? reshape(a, {1, -1}) : a, b_vector ? reshape(b, {-1, 1}) : b, options),
                 shape);
}

/// left right for each matrix of `batch`, summed over those that share one of `shape`.
Tensor product(const Tensor& left, bool transpose_left, const Tensor& right, bool transpose_right,
               const Shape& shape, const Shape& batch) {
  const MatmulOptions options{.transpose_a = transpose_left, .transpose_b = transpose_right};
  Tensor whole = like(left, batch.with(-2, shape[-2]).with(-1, shape[-1]), Tag::gradient);
  kernel::matmul(left, right, options, whole);
  return detail::sum_back(whole, shape);
}

/// [..., K] as one matrix.
Tensor rows_of(const Tensor& x) { return x.reshape({x.numel() / x.shape()[-1], x.shape()[-1]}); }

}  // namespace

Var matmul(const Var& a, const Var& b, const MatmulOptions& options) {
  if (autocast::to_lower(a, b)) return matmul(autocast::in_lower(a), autocast::in_lower(b), options);
  detail::check_any_float("matmul", a, "a");
  detail::check_defined("matmul", "b", b.value());
  if (b.dtype() != a.dtype())
    fail<DTypeError>("matmul", "b must be {} as a is, got {}", a.dtype(), b.dtype());
  const Shape shape = matmul_shape(a.shape(), b.shape(), options);
  if (a.shape().rank() == 1 || b.shape().rank() == 1) return vector_product(a, b, options, shape);
  Tensor y = like(a.value(), shape);
  // Matrices that all meet the same b are one tall matrix.
  const bool tall = b.shape().rank() == 2 && !options.transpose_a;
  if (tall) {
    Tensor rows = rows_of(y);
    kernel::matmul(rows_of(a.value()), b.value(), options, rows);
  } else {
    kernel::matmul(a.value(), b.value(), options, y);
  }
  const Shape a_shape = a.shape();
  const Shape b_shape = b.shape();
  return record(
      "matmul", {a, b}, y,
      /*save=*/{needs_gradient(b) ? a.value() : Tensor(), needs_gradient(a) ? b.value() : Tensor()},
      [options, tall, a_shape, b_shape](const Tensor& dy, Saved saved, const Wants& wants) -> Tensors {
        const auto [ta, tb] = options;
        const Shape batch = tall ? Shape{1, 1} : dy.shape();
        const Tensor d = tall ? rows_of(dy) : dy;
        Tensor da;
        Tensor db;
        if (wants[0]) {
          const Shape target = tall ? Shape{d.shape()[0], a_shape[-1]} : a_shape;
          da = ta ? product(saved[1], tb, d, true, target, batch)
                  : product(d, false, saved[1], !tb, target, batch);
          da = da.reshape(a_shape);
        }
        if (wants[1]) {
          const Tensor left = tall ? rows_of(saved[0]) : saved[0];
          db = tb ? product(d, true, left, ta, b_shape, batch) : product(left, !ta, d, false, b_shape, batch);
        }
        return {da, db};
      });
}

Var linear(const Var& x, const Var& w, const Var& bias) {
  if (autocast::to_lower(x, w, bias))
    return linear(autocast::in_lower(x), autocast::in_lower(w), autocast::in_lower(bias));
  detail::check_any_float("linear", x);
  detail::check_defined("linear", "w", w.value());
  detail::check_same_dtype("linear", x.value(), "w", w.value());
  detail::check_same_dtype("linear", x.value(), "bias", bias.value());
  if (w.shape().rank() != 2) fail<ShapeError>("linear", "w must be [out,in], got {}", w.shape());
  if (x.shape().rank() < 1 || x.shape()[-1] != w.shape()[1])
    fail<ShapeError>("linear", "x {} must end in the {} inputs that w {} expects", x.shape(), w.shape()[1],
                     w.shape());
  const std::int64_t out = w.shape()[0];
  if (bias.defined()) detail::check_per_channel("linear", out, "bias", bias.value());
  Tensor y = like(x.value(), x.shape().with(-1, out));
  Tensor rows = rows_of(y);
  kernel::matmul(rows_of(x.value()), w.value(), {.transpose_b = true}, rows);
  if (bias.defined()) kernel::add(rows, bias.value(), rows);
  const Shape x_shape = x.shape();
  return record("linear", {x, w, bias}, y,
                /*save=*/{needs_gradient(w) ? x.value() : Tensor(), needs_gradient(x) ? w.value() : Tensor()},
                [x_shape, out](const Tensor& dy, Saved saved, const Wants& wants) -> Tensors {
                  const Tensor d = rows_of(dy);
                  Tensor dx;
                  Tensor dw;
                  Tensor db;
                  if (wants[0]) {
                    Tensor dx_rows = like(dy, {d.shape()[0], x_shape[-1]}, Tag::gradient);
                    kernel::matmul(d, saved[1], {}, dx_rows);
                    dx = dx_rows.reshape(x_shape);
                  }
                  if (wants[1]) {
                    dw = like(dy, {out, x_shape[-1]}, Tag::gradient);
                    kernel::matmul(d, rows_of(saved[0]), {.transpose_a = true}, dw);
                  }
                  if (wants[2]) {
                    Tensor sum = like(dy, {1, out}, Tag::gradient);
                    kernel::sum_to(d, 1, sum);
                    db = sum.reshape({out});
                  }
                  return {dx, dw, db};
                });
}

}  // namespace retrace
