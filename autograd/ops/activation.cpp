#include <retrace/autograd/ops/activation.h>
#include <retrace/autograd/ops/check.h>
#include <retrace/autograd/ops/mask.h>
#include <retrace/autograd/record.h>
#include <retrace/core/kernels.h>
#include <retrace/core/range.h>

namespace retrace {

namespace {

/// dx = dy where the mask's bit is set, else 0
Var record_masked(std::string_view op, const Var& x, const Tensor& y, const Tensor& mask) {
  return record(op, {x}, y, /*save=*/{mask}, [](const Tensor& dy, Saved saved, const Wants&) -> Tensors {
    Tensor dx = reuse(dy);
    kernel::masked_backward(saved[0], dy, dx);
    return {dx};
  });
}

}  // namespace

Var relu(const Var& x) {
  Tensor y = detail::result_like("relu", x);
  Decision decision = detail::decide_by_mask("relu", needs_gradient(x), x.value());
  kernel::relu(x.value(), y, decision.computed());
  return record_masked("relu", x, y, decision.settled());
}

/// dx = dy where the mask's bit is set, else slope dy
Var leaky_relu(const Var& x, double slope) {
  RealRange{}.check("leaky_relu", "slope", slope);
  Tensor y = detail::result_like("leaky_relu", x);
  Decision decision = detail::decide_by_mask("leaky_relu", needs_gradient(x), x.value());
  kernel::leaky_relu(x.value(), slope, y, decision.computed());
  return record("leaky_relu", {x}, y, /*save=*/{decision.settled()},
                [slope](const Tensor& dy, Saved saved, const Wants&) -> Tensors {
                  Tensor dx = reuse(dy);
                  kernel::leaky_relu_backward(saved[0], dy, slope, dx);
                  return {dx};
                });
}

Var clamp(const Var& x, double low, double high) {
  if (!(low <= high)) fail<ArgumentError>("clamp", "low must be at most high, got {} and {}", low, high);
  Tensor y = detail::result_like("clamp", x);
  Decision decision = detail::decide_by_mask("clamp", needs_gradient(x), x.value());
  kernel::clamp(x.value(), low, high, y, decision.computed());
  return record_masked("clamp", x, y, decision.settled());
}

/// dx = dy where x > 0, -dy where x < 0, else 0 dy
Var abs(const Var& x) {
  Tensor y = detail::result_like("abs", x);
  Decision decision = detail::decide_by_mask("abs", needs_gradient(x), x.value(), 2);
  kernel::abs(x.value(), y, decision.computed());
  return record("abs", {x}, y, /*save=*/{decision.settled()},
                [](const Tensor& dy, Saved saved, const Wants&) -> Tensors {
                  Tensor dx = like(dy, Tag::gradient);
                  kernel::abs_backward(saved[0], dy, dx);
                  return {dx};
                });
}

}  // namespace retrace
