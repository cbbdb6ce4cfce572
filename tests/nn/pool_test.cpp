#include <retrace/core/error.h>
#include <retrace/nn/pool.h>

#include "../support/catch.h"

using namespace retrace;

namespace {
/// 0 1 2 3 / 4 5 6 7 / 8 9 10 11 / 12 13 14 15
Tensor image() {
  std::vector<float> values(16);
  for (std::size_t i = 0; i < 16; ++i) values[i] = static_cast<float>(i);
  return Tensor::from(std::span<const float>(values), {1, 1, 4, 4});
}
}  // namespace

TEST_CASE("pooling layers", "[pool]") {
  using Values = std::vector<float>;
  const Var x = image();
  MaxPool2d most;
  CHECK(most(x).value().to_vector<float>() == Values{5, 7, 13, 15});
  MaxPool2d overlapping({.kernel = 3, .stride = 2, .padding = 1});
  CHECK(overlapping(x).value().to_vector<float>() == Values{5, 7, 13, 15});
  AvgPool2d mean({.kernel = {2, 4}});
  CHECK(mean(x).value().to_vector<float>() == Values{3.5, 11.5});
  AdaptiveAvgPool2d global(1);
  CHECK(global(x).value().to_vector<float>() == Values{7.5});
  AdaptiveAvgPool2d grid({2, 1});
  CHECK(grid(x).shape() == Shape{1, 1, 2, 1});
  CHECK(grid.clone()->operator()(x).value().to_vector<float>() == Values{3.5, 11.5});

  Tape tape;
  const Var v = tape.watch(image());
  tape.backward(global(v));
  CHECK(tape.grad(v).to_vector<float>() == Values(16, 1.0F / 16));
}

TEST_CASE("a window that does not fit", "[pool]") {
  MaxPool2d most({.kernel = 5});
  CHECK_THROWS_AS(most(Var(image())), ShapeError);
}
