#include "../../support/catch.h"
#include "../../support/random_tensor.h"
#include "../../support/throws.h"

#include <retrace/autograd/ops.h>
#include <retrace/autograd/tape.h>

using namespace retrace;
using namespace retrace::test;

TEST_CASE("reductions keep nothing", "[reduce]") {
  Tape tape;
  const Var x = tape.watch(random_tensor({2, 3, 4}, DType::f32, 1));
  CHECK(sum(x).shape() == Shape{});
  CHECK(sum(x, {0, 2}).shape() == Shape{3});
  CHECK(mean(x, {-1}).shape() == Shape{2, 3});
  CHECK(mean(x, {0, 2}, true).shape() == Shape{1, 3, 1});
  CHECK(tape.saved_bytes() == 0);
}

TEST_CASE("argmax drops the last dimension", "[reduce]") {
  const Tensor x = Tensor::from<double>({1, 3, 2, 5, 4, 0}, {2, 3});
  const Tensor y = argmax(x);
  CHECK(y.shape() == Shape{2});
  CHECK(y.dtype() == DType::i64);
  CHECK(y.to_vector<int>() == std::vector<int>{1, 0});
  check_throws<DTypeError>(
      [] {
        return argmax(Tensor::zeros({2, 2}, DType::i64));
      },
      "[argmax] x must be f32, f64, bf16 or f16, got i64");
  CHECK(argmax(Tensor::full({}, 3, DType::f32)).shape() == Shape{});
  CHECK(argmax(Tensor::full({}, 3, DType::f32)).item() == 0);
}

TEST_CASE("a scalar has one dimension to reduce", "[reduce]") {
  Tape tape;
  const Var x = tape.watch(Tensor::full({}, 3, DType::f32));
  CHECK(sum(x, {0}).item() == 3);
  CHECK(mean(x, {-1}, true).shape() == Shape{});
  tape.backward(sum(x, {-1}));
  CHECK(tape.grad(x).item() == 1);
  check_throws<ShapeError>(
      [&] {
        return sum(x, {0, -1});
      },
      "[sum] dims must name at least one dimension of x [], and each once, got (0, -1)");
}

TEST_CASE("reductions say which dimensions they take", "[reduce]") {
  const Tensor x = Tensor::zeros({2, 3}, DType::f32);
  const std::string rule = "dims must name at least one dimension of x [2,3], and each once, got ";
  check_throws<ShapeError>([&] { return sum(x, {0, -2}); }, "[sum] " + rule + "(0, -2)");
  check_throws<ShapeError>([&] { return mean(x, {2}); }, "[mean] " + rule + "(2)");
  check_throws<ShapeError>([&] { return mean(x, std::vector<int>{}); }, "[mean] " + rule + "()");
}
