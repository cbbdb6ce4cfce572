#include <retrace/core/error.h>
#include <retrace/core/random.h>
#include <retrace/nn/dropout.h>

#include <algorithm>

#include "../support/catch.h"

using namespace retrace;

TEST_CASE("dropout in training drops some and scales the rest, back too", "[dropout]") {
  manual_seed(7);
  Dropout dropout(0.25);
  Tape tape;
  const Var x = tape.watch(Tensor::full({10'000}, 3, DType::f32));
  const Var y = dropout(x);
  const auto values = y.value().to_vector<float>();
  const auto zeros = std::ranges::count(values, 0.0F);
  CHECK(zeros > 2300);
  CHECK(zeros < 2700);
  CHECK(std::ranges::count(values, 4.0F) + zeros == 10'000);

  tape.backward(y, Tensor::full({10'000}, 3, DType::f32));
  CHECK(tape.grad(x).to_vector<float>() == values);
}

TEST_CASE("each call of dropout drops others", "[dropout]") {
  manual_seed(7);
  Dropout dropout;
  const Tensor x = Tensor::full({100}, 1, DType::f32);
  const auto first = dropout(Var(x)).value().to_vector<float>();
  CHECK(dropout(Var(x)).value().to_vector<float>() != first);
  manual_seed(7);
  CHECK(dropout(Var(x)).value().to_vector<float>() == first);
}

TEST_CASE("dropout in evaluation does nothing", "[dropout]") {
  Dropout dropout;
  dropout.eval();
  const Tensor x = Tensor::full({100}, 1, DType::f32);
  CHECK(dropout(Var(x)).value().to_vector<float>() == x.to_vector<float>());
}

TEST_CASE("probabilities out of range", "[dropout]") {
  CHECK_THROWS_AS(Dropout(1.5), ArgumentError);
  CHECK_THROWS_WITH(Dropout(1.5), "[dropout] p must be in [0,1], got 1.5");
  CHECK_THROWS_WITH(Dropout(-0.5), "[dropout] p must be in [0,1], got -0.5");
}
