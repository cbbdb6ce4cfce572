#include <retrace/autograd/ops/broadcast.h>
#include <retrace/core/fail.h>
#include <retrace/core/kernels.h>

namespace retrace::detail {

void check_same_dtype(std::string_view op, const Tensor& x, const Tensor& y) {
  if (x.dtype() != y.dtype())
    fail<DTypeError>(op, "x and y must have the same element type, got {} and {}", x.dtype(), y.dtype());
}

Tensor sum_back(const Tensor& d, const Shape& shape) {
  if (d.shape() == shape) return d;
  Tensor sum = like(d, shape, Tag::gradient);
  Tensor aligned = sum.reshape(aligned_shape(shape, d.shape().rank()));
  kernel::sum_to(d, aligned);
  return sum;
}

}  // namespace retrace::detail
