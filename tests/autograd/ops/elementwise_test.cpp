#include "../../support/catch.h"
#include "../../support/random_tensor.h"
#include "../../support/saved.h"
#include "../../support/throws.h"

#include <retrace/autograd/ops.h>
#include <retrace/autograd/tape.h>

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
