// A coupling of one's own, and what to test of it.
#include <retrace/retrace.h>

#include <cmath>
#include <iostream>

using namespace retrace;

namespace {

// [class]
/// scale x, in memory of its own.
Tensor scaled(const Tensor& x, double scale) {
  Tensor y = like(x, Tag::gradient);
  kernel::scale_shift(x, scale, kernel::kNoShift, y);
  return y;
}
// [/class]

}  // namespace

// [class]
/// y1 = c x1 + F(x2); y2 = c x2 + G(y1), with a number c that is not 0.
class ScaledCoupling final : public Coupling {
 public:
  ScaledCoupling(double c, std::shared_ptr<Module> F, std::shared_ptr<Module> G = nullptr)
      : Coupling("ScaledCoupling", std::move(F), std::move(G), {}), c_(c) {}

 private:
  std::shared_ptr<Module> copy() const override { return std::make_shared<ScaledCoupling>(*this); }
  // [/class]

  // [recorded]
  /// m(source), which must have the shape of the stream that it changes.
  static Var run(const Branch& m, const Var& source, const Shape& stream) {
    Var r = m(source);
    if (r.shape() != stream)
      throw ShapeError("[ScaledCoupling] the result of F and G must have the stream's shape");
    return r;
  }

  Var half_step(const Branch& m, const Var& target, const Var& source, Direction direction) override {
    const Var r = run(m, source, target.shape());
    return direction == Direction::forward ? c_ * target + r : (target - r) / c_;
  }
  // [/recorded]

  // [in-place]
  Tensor half_step(const Branch& m, Tensor target, const Tensor& source, Direction direction) override {
    const Tensor r = run(m, Var(source), target.shape()).value();
    return step(std::move(target), r, direction);
  }

  /// The formula with r = m(source), in target's own bytes where nobody else holds them.
  Tensor step(Tensor target, const Tensor& r, Direction direction) const {
    Tensor out = target.unique() ? target : like(target);
    if (direction == Direction::forward) {
      kernel::scale_shift(target, c_, kernel::kNoShift, out);
      kernel::add(out, r, out);
    } else {
      kernel::sub(target, r, out);
      kernel::broadcast_to(out, c_, out);  // out / c, rounded as operator/ rounds it
    }
    return out;
  }
  // [/in-place]

  // [rewind]
  void rewind_half_step(const Branch& m, Stream& target, Stream& source, Direction direction) override {
    const bool forward = direction == Direction::forward;
    Tape tape;
    const Var v = tape.watch(source.value);
    const Var r = run(m, v, target.value.shape());  // once, for the value and for its gradient
    target.value =
        step(std::move(target.value), r.value(), forward ? Direction::inverse : Direction::forward);
    // y = c x + r: dr = dy, dx = c dy.  x = (y - r) / c: dr = -dx / c, dy = dx / c.
    // v is a root, too: m's gradient is added to what the source has.
    tape.backward({v, r}, {source.gradient, forward ? target.gradient : scaled(target.gradient, -1 / c_)});
    source.gradient = tape.take_grad(v);
    target.gradient = scaled(target.gradient, forward ? c_ : 1 / c_);
  }
  // [/rewind]

  // [end]
  double c_;
};
// [/end]

namespace {

/// d sum(y^2) / dx, and the bytes that are alive when backward begins.
std::pair<Tensor, std::int64_t> gradient_and_bytes(Module& module, const Tensor& values) {
  const Counter counter(kStepTags);
  Tape tape;
  const Var x = tape.watch(values.clone(Tag::data));
  const Var loss = sum(square(module(x)));
  const std::int64_t bytes = counter.live();
  tape.backward(loss);
  return {tape.grad(x), bytes};
}

double largest_difference(const Tensor& a, const Tensor& b) {
  const std::vector<double> x = a.to_vector<double>();
  const std::vector<double> y = b.to_vector<double>();
  double largest = 0;
  for (std::size_t i = 0; i < x.size(); ++i) largest = std::max(largest, std::abs(x[i] - y[i]));
  return largest;
}

}  // namespace

int main() {
  manual_seed(1);
  const auto F = std::make_shared<Sequential>(std::make_shared<Linear>(3, 3), std::make_shared<Tanh>());
  const auto coupling = std::make_shared<ScaledCoupling>(0.5, F);
  coupling->to(DType::f64);
  Tensor x({8, 6}, DType::f64);
  init::uniform(x, -1, 1);

  // [check]
  const bool inverts = static_cast<bool>(is_invertible_module(*coupling, x.shape(), {.dtype = DType::f64}));
  InvertibleModuleWrapper wrapped(coupling);
  InvertibleModuleWrapper wrapped_inverse(std::make_shared<Inverse>(coupling));
  const auto [stored, stored_bytes] = gradient_and_bytes(*coupling, x);
  const auto [rebuilt, rebuilt_bytes] = gradient_and_bytes(wrapped, x);
  // [/check]
  Inverse inverse(coupling);
  const double difference_of_inverse =
      largest_difference(gradient_and_bytes(inverse, x).first, gradient_and_bytes(wrapped_inverse, x).first);
  const double difference = largest_difference(stored, rebuilt);
  std::cout << "inverts: " << (inverts ? "yes" : "no") << "\n"
            << "gradients agree: " << (difference < 1e-12 ? "yes" : "no")
            << ", of the inverse: " << (difference_of_inverse < 1e-12 ? "yes" : "no") << "\n"
            << "bytes when backward begins: " << stored_bytes << " stored, " << rebuilt_bytes
            << " reversible\n";
  return inverts && difference < 1e-12 && difference_of_inverse < 1e-12 && rebuilt_bytes < stored_bytes ? 0
                                                                                                        : 1;
}
