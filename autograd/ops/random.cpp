#include <retrace/autograd/ops/check.h>
#include <retrace/autograd/ops/random.h>
#include <retrace/autograd/record.h>
#include <retrace/core/kernels.h>
#include <retrace/core/random.h>

namespace retrace {

/// dx = dy / (1 - p) or 0, by the same numbers
Var dropout(const Var& x, double p, bool training) {
  if (!(p >= 0 && p <= 1)) fail<ArgumentError>("dropout", "p must be in [0,1], got {}", p);
  detail::check_any_float("dropout", x);
  if (!training || p == 0) return x;
  const RandomStream stream = next_stream();
  Tensor y = like(x.value());
  kernel::dropout(x.value(), stream, p, y);
  return record("dropout", {x}, y, /*save=*/{},
                [stream, p](const Tensor& dy, Saved, const Wants&) -> Tensors {
                  Tensor dx = like(dy, Tag::gradient);
                  kernel::dropout(dy, stream, p, dx);
                  return {dx};
                });
}

}  // namespace retrace
