#include <retrace/autograd/ops/elementwise.h>
#include <retrace/autograd/record.h>
#include <retrace/core/kernels.h>

namespace retrace {

Var tanh(const Var& x) {
  Tensor y = like(x.value());
  kernel::tanh(x.value(), y);
  return record("tanh", {x}, y, /*save=*/{y}, [](const Tensor& dy, Saved saved, const Wants&) -> Tensors {
    Tensor dx = like(dy, Tag::gradient);
    kernel::tanh_backward(saved[0], dy, dx);
    return {dx};
  });
}

}  // namespace retrace
