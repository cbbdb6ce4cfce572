#include "../../support/catch.h"
#include "../../support/random_tensor.h"
#include "../../support/saved.h"

#include <retrace/autograd/ops.h>
#include <retrace/autograd/tape.h>
#include <retrace/core/error.h>

using namespace retrace;
using namespace retrace::test;

namespace {

using Flags = std::vector<bool>;

Tensor some(const Shape& shape, DType dtype = DType::f32) { return random_tensor(shape, dtype, 1); }

}  // namespace

TEST_CASE("matmul saves an operand only for the other's gradient", "[matmul]") {
  const Tensor a = some({2, 3});
  const Tensor b = some({3, 4});
  {
    Tape tape;
    matmul(tape.watch(a), b);
    CHECK(saved_flags(tape) == Flags{false, true});
  }
  {
    Tape tape;
    matmul(a, tape.watch(b));
    CHECK(saved_flags(tape) == Flags{true, false});
  }
}

TEST_CASE("linear saves x only for w's gradient and w only for x's", "[matmul]") {
  const Tensor x = some({2, 3});
  Parameter w(some({4, 3}));
  Parameter bias(some({4}));
  Tape tape;
  SECTION("all are wanted") {
    linear(tape.watch(x), w, bias);
    CHECK(saved_flags(tape) == Flags{true, true});
  }
  SECTION("x is a constant") {
    linear(x, w, bias);
    CHECK(saved_flags(tape) == Flags{true, false});
  }
  SECTION("w is frozen") {
    w.set_requires_grad(false);
    linear(tape.watch(x), w, bias);
    CHECK(saved_flags(tape) == Flags{false, true});
  }
  SECTION("the bias alone is wanted") {
    w.set_requires_grad(false);
    linear(x, w, bias);
    CHECK(saved_flags(tape) == Flags{false, false});
  }
}

TEST_CASE("a vector is a row in front and a column behind", "[matmul]") {
  const Tensor v = Tensor::from<double>({1, 2, 3}, {3});
  const Tensor m = Tensor::from<double>({1, 0, 2, 0, 1, 4}, {2, 3});
  const auto numbers = [](const Var& y) { return y.value().to_vector<double>(); };
  CHECK(matmul(v, v).shape() == Shape{});
  CHECK(matmul(v, v).item() == 14);
  CHECK(matmul(m, v).shape() == Shape{2});
  CHECK(numbers(matmul(m, v)) == std::vector<double>{7, 14});
  CHECK(matmul(v, m, {.transpose_a = true, .transpose_b = true}).shape() == Shape{2});
  CHECK(numbers(matmul(v, m, {.transpose_b = true})) == std::vector<double>{7, 14});
  CHECK(matmul(v, random_tensor({5, 3, 4}, DType::f64, 1)).shape() == Shape{5, 4});
  CHECK(matmul(random_tensor({5, 4, 3}, DType::f64, 1), v).shape() == Shape{5, 4});
}

TEST_CASE("matmul and linear say what does not fit", "[matmul]") {
  CHECK_THROWS_WITH(matmul(some({2, 3}), some({4, 5})),
                    "[matmul] a [2,3] has rows of 3 elements but b [4,5] has columns of 4");
  CHECK_THROWS_WITH(matmul(some({2, 3}), some({3, 4}, DType::f64)),
                    "[matmul] b must be f32 as a is, got f64");
  CHECK_THROWS_AS(matmul(Tensor::zeros({2, 2}, DType::i64), Tensor::zeros({2, 2}, DType::i64)), DTypeError);
  CHECK_THROWS_AS(matmul(Var(), some({2, 2})), ArgumentError);

  CHECK_THROWS_WITH(linear(some({2, 3}), some({4, 5})),
                    "[linear] x [2,3] must end in the 5 inputs that w [4,5] expects");
  CHECK_THROWS_AS(linear(some({2, 3}), some({4, 5})), ShapeError);
  CHECK_THROWS_WITH(linear(some({}), some({4, 5})),
                    "[linear] x [] must end in the 5 inputs that w [4,5] expects");
  CHECK_THROWS_WITH(linear(some({2, 3}), some({3})), "[linear] w must be [out,in], got [3]");
  CHECK_THROWS_WITH(linear(some({2, 3}), some({4, 3}), some({3})),
                    "[linear] bias must be [4], one for each channel, got [3]");
  CHECK_THROWS_WITH(linear(some({2, 3}), some({4, 3}, DType::f64)),
                    "[linear] w must be f32 as x is, got f64");
  CHECK_THROWS_WITH(linear(some({2, 3}), some({4, 3}), some({4}, DType::f64)),
                    "[linear] bias must be f32 as x is, got f64");
  CHECK_THROWS_AS(linear(Tensor::zeros({2, 2}, DType::u8), Tensor::zeros({2, 2}, DType::u8)), DTypeError);
}
