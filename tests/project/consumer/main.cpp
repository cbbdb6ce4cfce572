// A program of a user: an installed retrace, and nothing but its public headers.
#include <retrace/retrace.h>

#include <cmath>
#include <filesystem>
#include <iostream>

using namespace retrace;

namespace {

/// The derivative of tanh at three places.
bool tape_works() {
  const Tensor values = Tensor::from<double>({0.0, 0.5, -1.0}, {3});
  Tape tape;
  const Var x = tape.watch(values);
  tape.backward(tanh(x), Tensor::full({3}, 1, DType::f64));
  const Tensor dx = tape.grad(x);
  for (int i = 0; i < 3; ++i) {
    const double y = std::tanh(values.data<double>()[i]);
    if (std::abs(dx.data<double>()[i] - (1 - y * y)) > 1e-15) return false;
  }
  std::cout << "d tanh([0, 0.5, -1]) = " << dx << '\n';
  return true;
}

/// A coupling whose input is forgotten and comes back.
bool wrapper_works() {
  const auto F = std::make_shared<Linear>(4, 4);
  InvertibleModuleWrapper wrapped(std::make_shared<AdditiveCoupling>(F));
  Tape tape;
  const Var x = tape.watch(Tensor::full({2, 8}, 0.5, DType::f32));
  const Var y = wrapped(x);
  if (!x.value().storage().released()) return false;
  tape.backward(y, Tensor::full({2, 8}, 1, DType::f32));
  if (x.value().storage().released() || !tape.grad(x).defined()) return false;
  for (const float value : x.value().values<float>())
    if (std::abs(value - 0.5F) > 1e-5F) return false;
  std::cout << "x was released, and came back\n";
  return true;
}

/// The page of a step, whose template is part of the library.
bool report_works() {
  MemoryRecorder recorder;
  Tape tape;
  tape.observe(&recorder);
  tape.backward(sum(tanh(tape.watch(Tensor::full({8}, 0.5, DType::f32)))));
  const std::filesystem::path page = std::filesystem::temp_directory_path() / "retrace-consumer.html";
  write_html(page, {.recordings = {recorder.recording("step")}});
  if (std::filesystem::file_size(page) < 10000) return false;
  std::cout << "a report was written\n";
  return std::filesystem::remove(page);
}

bool errors_can_be_caught() {
  try {
    static_cast<void>(Tensor::full({3}, 1, DType::f32).reshape({2, 2}));
  } catch (const ShapeError& error) {
    std::cout << error.what() << '\n';
    return true;
  }
  return false;
}

}  // namespace

int main() { return tape_works() && wrapper_works() && report_works() && errors_can_be_caught() ? 0 : 1; }
