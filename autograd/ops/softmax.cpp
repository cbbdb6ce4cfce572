#include <retrace/autograd/autocast.h>
#include <retrace/autograd/ops/softmax.h>
#include <retrace/autograd/record.h>
#include <retrace/core/kernels.h>

namespace retrace {

/// dx = y (dy - sum(y dy))
Var softmax(const Var& x, int dim) {
  if (autocast::to_f32(x)) return softmax(autocast::in_f32(x), dim);
  const int d = x.shape().dimension(dim);
  Tensor y = like(x.value());
  kernel::softmax(x.value(), d, y);
  return record("softmax", {x}, y, /*save=*/{y}, [d](const Tensor& dy, Saved saved, const Wants&) -> Tensors {
    Tensor dx = like(dy, Tag::gradient);
    kernel::softmax_backward(saved[0], dy, d, dx);
    return {dx};
  });
}

/// dx = dy - e^y sum(dy)
Var log_softmax(const Var& x, int dim) {
  if (autocast::to_f32(x)) return log_softmax(autocast::in_f32(x), dim);
  const int d = x.shape().dimension(dim);
  Tensor y = like(x.value());
  kernel::log_softmax(x.value(), d, y);
  return record("log_softmax", {x}, y, /*save=*/{y},
                [d](const Tensor& dy, Saved saved, const Wants&) -> Tensors {
                  Tensor dx = like(dy, Tag::gradient);
                  kernel::log_softmax_backward(saved[0], dy, d, dx);
                  return {dx};
                });
}

}  // namespace retrace
