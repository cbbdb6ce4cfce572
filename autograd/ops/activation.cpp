#include <retrace/autograd/ops/activation.h>
#include <retrace/autograd/ops/check.h>
#include <retrace/autograd/ops/mask.h>
#include <retrace/autograd/record.h>
#include <retrace/core/kernels.h>

namespace retrace {

namespace {

/// dx = dy where the mask's bit is set, else slope dy
Var record_masked(std::string_view op, const Var& x, const Tensor& y, const Tensor& mask, double slope) {
  return record(op, {x}, y, /*save=*/{mask}, [slope](const Tensor& dy, Saved saved, const Wants&) -> Tensors {
    Tensor dx = reuse(dy);
    kernel::masked_backward(saved[0], dy, slope, dx);
    return {dx};
  });
}

}  // namespace

Var relu(const Var& x) {
  Tensor y = detail::result_like("relu", x);
  Tensor mask = detail::make_mask(needs_gradient(x), x.value());
  kernel::relu(x.value(), y, mask);
  return record_masked("relu", x, y, mask, 0);
}

Var leaky_relu(const Var& x, double slope) {
  Tensor y = detail::result_like("leaky_relu", x);
  Tensor mask = detail::make_mask(needs_gradient(x), x.value());
  kernel::leaky_relu(x.value(), slope, y, mask);
  return record_masked("leaky_relu", x, y, mask, slope);
}

Var clamp(const Var& x, double low, double high) {
  if (!(low <= high)) fail<ArgumentError>("clamp", "low must be at most high, got {} and {}", low, high);
  Tensor y = detail::result_like("clamp", x);
  Tensor mask = detail::make_mask(needs_gradient(x), x.value());
  kernel::clamp(x.value(), low, high, y, mask);
  return record_masked("clamp", x, y, mask, 0);
}

/// dx = dy where x > 0, -dy where x < 0
Var abs(const Var& x) {
  Tensor y = detail::result_like("abs", x);
  Tensor mask = detail::make_mask(needs_gradient(x), x.value(), 2);
  kernel::abs(x.value(), y, mask);
  return record("abs", {x}, y, /*save=*/{mask}, [](const Tensor& dy, Saved saved, const Wants&) -> Tensors {
    Tensor dx = like(dy, Tag::gradient);
    kernel::abs_backward(saved[0], dy, dx);
    return {dx};
  });
}

}  // namespace retrace
