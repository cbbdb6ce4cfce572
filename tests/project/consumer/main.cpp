// A program of a user: an installed retrace, and nothing but its public headers.
#include <retrace/autograd/ops.h>
#include <retrace/autograd/tape.h>
#include <retrace/core/memory.h>

#include <cmath>
#include <iostream>

int main() {
  const retrace::Tensor values = retrace::Tensor::from<double>({0.0, 0.5, -1.0}, {3});
  retrace::Tape tape;
  const retrace::Var x = tape.watch(values);
  const retrace::Var y = retrace::tanh(x);
  tape.backward(y, retrace::Tensor::full({3}, 1, retrace::DType::f64));
  const retrace::Tensor dx = tape.grad(x);

  for (int i = 0; i < 3; ++i) {
    const double expected = 1 - std::tanh(values.data<double>()[i]) * std::tanh(values.data<double>()[i]);
    if (std::abs(dx.data<double>()[i] - expected) > 1e-15) return 1;
  }
  try {
    static_cast<void>(values.reshape({2, 2}));
    return 1;
  } catch (const retrace::ShapeError& error) {
    std::cout << error.what() << '\n';
  }
  std::cout << "d tanh([0, 0.5, -1]) = " << dx << '\n';
}
