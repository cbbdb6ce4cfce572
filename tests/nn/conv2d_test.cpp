#include <retrace/core/error.h>
#include <retrace/nn/conv2d.h>

#include <cmath>

#include "../support/catch.h"
#include "../support/random_tensor.h"
#include "../support/rounding.h"

using namespace retrace;
using namespace retrace::test;

TEST_CASE("a convolution", "[conv2d]") {
  Conv2d conv(1, 2, {.kernel = {1, 2}});
  conv.weight().value() = Tensor::from<float>({1, -1, 2, 3}, {2, 1, 1, 2}, Tag::parameter);
  conv.bias().value() = Tensor::from<float>({10, 20}, {2}, Tag::parameter);
  const Tensor x = Tensor::from<float>({1, 2, 4, 8, 16, 32}, {1, 1, 2, 3});

  Tape tape;
  const Var y = conv(tape.watch(x));
  CHECK(y.shape() == Shape{1, 2, 2, 2});
  CHECK(y.value().to_vector<float>() == std::vector<float>{9, 8, 2, -6, 28, 36, 84, 148});
  tape.backward(y, Tensor::full(y.shape(), 1, DType::f32));
  CHECK(conv.weight().grad().to_vector<float>() == std::vector<float>{27, 54, 27, 54});
  CHECK(conv.bias().grad().to_vector<float>() == std::vector<float>{4, 4});
}

TEST_CASE("a convolution takes PyTorch's options", "[conv2d]") {
  Conv2d conv(
      4, 6,
      {.kernel = {3, 5}, .stride = 2, .padding = {1, 2}, .dilation = {2, 1}, .groups = 2, .bias = false});
  CHECK(conv.weight().shape() == Shape{6, 2, 3, 5});
  CHECK_FALSE(conv.bias().defined());
  CHECK(conv.parameter_count() == 180);
  // H' = (9 + 2 - 2 * 2 - 1) / 2 + 1 = 4, W' = (8 + 4 - 4 - 1) / 2 + 1 = 4
  CHECK(conv(Var(Tensor::zeros({2, 4, 9, 8}, DType::f32))).shape() == Shape{2, 6, 4, 4});
  CHECK(Conv2d(3, 8).weight().shape() == Shape{8, 3, 3, 3});
}

TEST_CASE("a convolution is computed as its option says", "[conv2d]") {
  Conv2d conv(8, 8, {.padding = 1});
  Conv2d direct(8, 8, {.padding = 1, .algorithm = Conv2dAlgorithm::direct});
  CHECK(conv.options().algorithm == Conv2dAlgorithm::automatic);
  CHECK(direct.options().algorithm == Conv2dAlgorithm::direct);
  const Var x(random_tensor({4, 8, 8, 8}, DType::f32, 1));
  const Tensor fast = conv(x).value();
  conv.set_algorithm(Conv2dAlgorithm::direct);
  const Tensor plain = conv(x).value();
  CHECK_FALSE(bit_equal(fast, plain));
  CHECK(roundings(fast, plain) <= 72);  // of sums of 72 products
}

TEST_CASE("a convolution begins within 1 / sqrt(fan in)", "[conv2d]") {
  Conv2d conv(8, 40, {.kernel = 2, .groups = 2});  // fan in 16
  for (const Parameter* p : {&conv.weight(), &conv.bias()}) {
    double most = 0;
    for (const float v : p->value().to_vector<float>())
      most = std::max(most, std::abs(static_cast<double>(v)));
    CHECK(most <= 0.25);
    CHECK(most > 0.2);
  }
}

TEST_CASE("convolutions that do not exist", "[conv2d]") {
  CHECK_THROWS_AS(Conv2d(0, 4), ArgumentError);
  CHECK_THROWS_WITH(
      Conv2d(0, 4),
      "[conv2d] channels in and out must be multiples of the groups, all at least 1, got 0, 4 and 1");
  CHECK_THROWS_WITH(
      Conv2d(4, 6, {.groups = 4}),
      "[conv2d] channels in and out must be multiples of the groups, all at least 1, got 4, 6 and 4");
  CHECK_THROWS_AS(Conv2d(4, 4, {.groups = 0}), ArgumentError);
  CHECK_THROWS_WITH(Conv2d(1, 1, {.kernel = {3, 0}}), "[conv2d] the kernel must be at least 1, got 3 x 0");
  CHECK_THROWS_WITH(Conv2d(1, 1, {.stride = 0}), "[conv2d] the stride must be at least 1, got 0 x 0");
  CHECK_THROWS_WITH(Conv2d(1, 1, {.padding = -1}), "[conv2d] the padding must be at least 0, got -1 x -1");
  CHECK_THROWS_WITH(Conv2d(1, 1, {.dilation = 0}), "[conv2d] the dilation must be at least 1, got 0 x 0");
}
