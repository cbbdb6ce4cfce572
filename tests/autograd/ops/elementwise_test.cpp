#include "../../support/catch.h"
#include "../../support/random_tensor.h"
#include "../../support/rounding.h"
#include "../../support/saved.h"
#include "../../support/throws.h"

#include <retrace/autograd/ops.h>
#include <retrace/autograd/tape.h>

#include <cmath>

using namespace retrace;
using namespace retrace::test;

namespace {

Tensor some(const Shape& shape) { return random_tensor(shape, DType::f32, 1); }

}  // namespace

TEST_CASE("a product keeps only what the wanted gradients need", "[elementwise]") {
  const Tensor x = some({3});
  const Tensor y = some({3});
  {
    Tape tape;
    const Var z = tape.watch(x) * tape.watch(y);
    CHECK(saved_flags(tape) == std::vector<bool>{true, true});
    CHECK(tape.saved_bytes() == 2 * 12);
  }
  {
    Tape tape;
    const Var z = tape.watch(x) * y;
    CHECK(saved_flags(tape) == std::vector<bool>{false, true});
  }
  {
    Tape tape;
    const Var z = x * tape.watch(y);
    CHECK(saved_flags(tape) == std::vector<bool>{true, false});
  }
}

TEST_CASE("a quotient by a constant keeps the constant alone", "[elementwise]") {
  Tape tape;
  const Var z = tape.watch(some({3})) / some({3});
  CHECK(saved_flags(tape) == std::vector<bool>{true, false});
}

TEST_CASE("sums and differences keep nothing", "[elementwise]") {
  Tape tape;
  const Var x = tape.watch(some({3}));
  const Var z = (x + x) - (2 * x - 1);
  CHECK(tape.saved_bytes() == 0);
  CHECK(z.value().storage().tag() == Tag::activation);
}

TEST_CASE("a sum passes its gradient on without a copy", "[elementwise]") {
  Tape tape;
  const Var z = tape.watch(some({1000})) + tape.watch(some({1000}));
  const Tensor dz = some({1000});
  const Counter counter(Tag::gradient);
  tape.backward(z, dz);
  CHECK(counter.total() == 0);
}

TEST_CASE("results carry the operation's name in the ledger", "[elementwise]") {
  const Var z = exp(some({3}));
  CHECK(ledger().alive(Tag::activation).back().op == "exp");
}

TEST_CASE("sigmoid does not overflow", "[elementwise]") {
  const Tensor x = Tensor::from<float>({-200, 200, -1e30F, 1e30F}, {4});
  CHECK(sigmoid(x).value().to_vector<float>() == std::vector<float>{0, 1, 0, 1});
}

TEST_CASE("elementwise operations say what does not fit", "[elementwise]") {
  check_throws<ShapeError>(
      [] {
        return Var(some({2, 3})) + some({4});
      },
      "[add] the extents of x and y must be equal or 1, aligned at the last dimension, got [2,3] and [4]");
  check_throws<DTypeError>([] { return Var(some({2})) * Tensor::zeros({2}, DType::f64); },
                           "[mul] y must be f32 as x is, got f64");
  check_throws<DTypeError>([] { return exp(Tensor::zeros({2}, DType::i64)); },
                           "[exp] x must be f32, f64, bf16 or f16, got i64");
}

namespace {

/// f(x), and dx for dy.
struct Result {
  double y, dx;
};
template <class F>
Result at(const F& f, double x, double dy = 1, DType dtype = DType::f32) {
  Tape tape;
  const Var leaf = tape.watch(Tensor::full({}, x, dtype));
  const Var y = f(leaf);
  tape.backward(y, Tensor::full({}, dy, dtype));
  return {y.value().item(), tape.grad(leaf).item()};
}

}  // namespace

TEST_CASE("a quotient by a number is the nearest, and so is its gradient", "[elementwise]") {
  for (int i = 1; i <= 100; ++i) {
    const Result third = at([](const Var& x) { return x / 3; }, i, i + 1);
    CHECK(third.y == static_cast<double>(static_cast<float>(i) / 3.0F));
    CHECK(third.dx == static_cast<double>(static_cast<float>(i + 1) / 3.0F));
  }
  CHECK(at([](const Var& x) { return x / 1e-39; }, 0).y == 0);
  CHECK(at([](const Var& x) { return x / 1e-310; }, 1e-300, 1, DType::f64).y == 1e-300 / 1e-310);
  CHECK(at([](const Var& x) { return x / 1e-310; }, 1, 1e-300, DType::f64).dx == 1e-300 / 1e-310);
}

TEST_CASE("a mean is the sum divided, and so is its gradient", "[elementwise]") {
  CHECK(mean(Tensor::full({49}, 1, DType::f64)).value().item() == 1);
  Tape tape;
  const Var x = tape.watch(Tensor::zeros({3, 100}, DType::f32));
  Tensor dy({100}, DType::f32);
  for (std::size_t i = 0; i < 100; ++i) dy.mutable_values<float>()[i] = static_cast<float>(i);
  tape.backward(mean(x, {0}), dy);
  for (std::size_t i = 0; i < 100; ++i)
    CHECK(tape.grad(x).values<float>()[i] == static_cast<float>(i) / 3.0F);
}

TEST_CASE("a quotient's gradients are finite where they can be", "[elementwise]") {
  Tape tape;
  const Var x = tape.watch(Tensor::full({}, 1e-30, DType::f32));
  const Var y = tape.watch(Tensor::full({}, 1e-20, DType::f32));
  tape.backward(x / y, Tensor::full({}, 1e20, DType::f32));
  CHECK(roundings(tape.grad(y).item(), -1e30, DType::f32) <= 7);  // of x, y and dy, and of four operations
}

TEST_CASE("a square's gradient is finite where it can be", "[elementwise]") {
  // 2 x alone is infinite in f32.
  CHECK(at([](const Var& x) { return square(x); }, 3e38, 1e-10).dx == Approx(6e28).epsilon(1e-6));
}

TEST_CASE("gradients of bf16 and f16 round once", "[elementwise]") {
  const DType dtype = GENERATE(DType::bf16, DType::f16);
  CAPTURE(name_of(dtype));
  const auto widened = [](const Tensor& t) { return t.to(DType::f32, Tag::data); };
  const Tensor a = random_tensor({1000}, dtype, 1);
  const Tensor b = random_tensor({1000}, dtype, 2);
  const Tensor dz = random_tensor({1000}, dtype, 3);
  SECTION("of a quotient, whose z is rounded before") {
    Tape tape;
    const Var y = tape.watch(b);
    const Var z = Var(a) / y;
    tape.backward(z, dz);
    Tensor expected({1000}, DType::f32);
    const Tensor wide = widened(z.value());
    for (std::size_t i = 0; i < 1000; ++i)
      expected.mutable_values<float>()[i] =
          -widened(dz).values<float>()[i] * (wide.values<float>()[i] / widened(b).values<float>()[i]);
    CHECK(bit_equal(tape.grad(y), expected.to(dtype, Tag::data)));
  }
  SECTION("of a square") {
    Tape tape;
    const Var x = tape.watch((Var(a) / 512).value());
    tape.backward(square(x), dz);
    Tensor expected({1000}, DType::f32);
    for (std::size_t i = 0; i < 1000; ++i)
      expected.mutable_values<float>()[i] =
          widened(dz).values<float>()[i] * (2 * widened(x.value()).values<float>()[i]);
    CHECK(bit_equal(tape.grad(x), expected.to(dtype, Tag::data)));
  }
}

TEST_CASE("zeros have the sign of IEEE 754", "[elementwise]") {
  const auto negative = [](const auto& f, double x) { return std::signbit(at(f, x).y); };
  CHECK(negative([](const Var& x) { return -x; }, 0));
  CHECK_FALSE(negative([](const Var& x) { return -x; }, -0.0));
  CHECK(negative([](const Var& x) { return x / 2; }, -0.0));
  CHECK(negative([](const Var& x) { return x * 2; }, -0.0));
  CHECK(negative([](const Var& x) { return -2 * x; }, 0));
  CHECK(negative([](const Var& x) { return x - 0; }, -0.0));
  CHECK_FALSE(negative([](const Var& x) { return x + 0; }, -0.0));
  CHECK_FALSE(negative([](const Var& x) { return 0 - x; }, 0));
  CHECK(std::signbit(at([](const Var& x) { return -x; }, 1, 0).dx));
  CHECK(std::signbit(at([](const Var& x) { return x * 3; }, 1, -0.0).dx));
  CHECK(std::signbit(at([](const Var& x) { return Var(Tensor::full({}, 1, DType::f32)) - x; }, 1, 0).dx));
}
