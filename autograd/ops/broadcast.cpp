#include <retrace/autograd/ops/broadcast.h>
#include <retrace/core/kernels.h>

namespace retrace::detail {

Tensor sum_back(const Tensor& d, const Shape& shape) {
  if (d.shape() == shape) return d;
  Tensor sum = like(d, shape, Tag::gradient);
  Tensor aligned = sum.reshape(aligned_shape(shape, d.shape().rank()));
  kernel::sum_to(d, 1, aligned);
  return sum;
}

}  // namespace retrace::detail
