// The wrapper in twenty lines: build a coupling, check it, wrap it, train through it.
// [readme]
#include <retrace/retrace.h>
// [/readme]

#include <iostream>

using namespace retrace;

int main() {
  // [readme]
  auto F = shared(Sequential{Conv2d(5, 5, {.kernel = 3, .padding = 1}), BatchNorm2d(5), ReLU()});
  auto coupling = std::make_shared<AdditiveCoupling>(F);  // G is a copy of F
  if (!is_invertible_module(*coupling, Shape{2, 10, 8, 8})) return 1;

  InvertibleModuleWrapper wrapped(coupling);
  Tape tape;
  Var x = tape.watch(Tensor::full({2, 10, 8, 8}, 0.5, DType::f32));
  Var y = wrapped(x);
  std::cout << "x after forward: " << (x.value().storage().released() ? "released" : "kept") << "\n";

  tape.backward(mean(y));  // rebuilds x from y on the way
  std::cout << "x after backward: " << x.value().slice(0, 1).reshape({640}).slice(0, 3) << "\n"
            << "dLoss/dx: " << tape.grad(x).shape() << "\n";

  NoTape no_tape;
  Var back = wrapped.inverse(wrapped(x.value()));
  std::cout << "inverse(forward(x)): " << back.value().reshape({1280}).slice(0, 3) << "\n";
  // [/readme]
}
