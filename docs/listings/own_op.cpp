// An operation of one's own, outside of the library: a function, its derivative, and the check of both.
#include <retrace/retrace.h>

#include <algorithm>
#include <cmath>
#include <iostream>

using namespace retrace;

// [op]
/// y = ln(1 + e^x), without overflow.  dx = dy / (1 + e^-x)
Var softplus(const Var& x) {
  Tensor y = like(x.value());
  visit_float("softplus", x.dtype(), [&]<class T>(TypeTag<T>) {
    std::transform(x.value().values<T>().begin(), x.value().values<T>().end(), y.mutable_values<T>().begin(),
                   [](T v) { return std::max(v, T{0}) + std::log1p(std::exp(-std::abs(v))); });
  });
  return record("softplus", {x}, y, /*save=*/{x.value()},
                [](const Tensor& dy, Saved saved, const Wants&) -> Tensors {
                  Tensor dx = like(dy, Tag::gradient);
                  kernel::sigmoid(saved[0], dx);
                  kernel::mul(dy, dx, dx);
                  return {dx};
                });
}
// [/op]

int main() {
  // [check]
  const Tensor x = Tensor::from<double>({-800, -2, 0, 0.5, 3, 800}, {6});
  std::cout << softplus(x).value() << "\n";
  const GradientCheck check = check_gradient([](const Vars& v) { return softplus(v[0]); }, {x});
  std::cout << (check ? "the derivative is right" : check.report) << "\n";
  // [/check]
  return check ? 0 : 1;
}
