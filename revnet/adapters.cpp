#include <retrace/autograd/ops.h>
#include <retrace/core/fail.h>
#include <retrace/core/not_null.h>
#include <retrace/revnet/adapters.h>

namespace retrace {

AffineAdapterNaive::AffineAdapterNaive(std::shared_ptr<Module> f)
    : f_(not_null("AffineAdapterNaive", "f", std::move(f))) {}

AffineAdapterSigmoid::AffineAdapterSigmoid(std::shared_ptr<Module> f)
    : f_(not_null("AffineAdapterSigmoid", "f", std::move(f))) {}

Vars AffineAdapterNaive::forward_all(const Vars& x) {
  const Var t = (*f_)(x.front());
  return {exp(t), t};
}

Vars AffineAdapterSigmoid::forward_all(const Vars& x) {
  const Var h = (*f_)(x.front());
  if (h.shape().rank() < 2 || h.shape()[1] % 2 != 0)
    fail<ShapeError>("AffineAdapterSigmoid",
                     "f must return an even number of channels, half of them scales, got {}", h.shape());
  const std::int64_t channels = h.shape()[1];
  return {sigmoid(slice(h, 1, 1, channels, 2) + 2.0), slice(h, 1, 0, channels, 2)};
}

}  // namespace retrace
