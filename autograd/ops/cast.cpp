#include <retrace/autograd/ops/cast.h>
#include <retrace/autograd/ops/check.h>
#include <retrace/autograd/record.h>
#include <retrace/core/kernels.h>

namespace retrace {

/// dx = dy, cast back
Var cast(const Var& x, DType dtype) {
  detail::check_any_float("cast", x);
  if (!is_float(dtype)) fail_not_any_float("cast", dtype);
  if (x.dtype() == dtype) return x;
  Tensor y(x.shape(), dtype, Tag::activation, x.value().device());
  kernel::cast(x.value(), y);
  return record("cast", {x}, y, /*save=*/{},
                [from = x.dtype()](const Tensor& dy, Saved, const Wants&) -> Tensors {
                  Tensor dx(dy.shape(), from, Tag::gradient, dy.device());
                  kernel::cast(dy, dx);
                  return {dx};
                });
}

}  // namespace retrace
