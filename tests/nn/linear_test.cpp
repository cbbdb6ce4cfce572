#include <retrace/core/error.h>
#include <retrace/nn/linear.h>

#include <cmath>

#include "../support/catch.h"

using namespace retrace;

namespace {
void assign(Parameter& p, std::initializer_list<float> values) {
  p.value() = Tensor::from(values, p.shape(), Tag::parameter);
}
}  // namespace

TEST_CASE("a linear layer", "[linear]") {
  Linear layer(3, 2);
  assign(layer.weight(), {1, 2, 3, 4, 5, 6});
  assign(layer.bias(), {0.5, -0.5});
  const Tensor x = Tensor::from<float>({1, 0, -1, 2, 1, 0}, {2, 3});

  Tape tape;
  const Var v = tape.watch(x);
  const Var y = layer(v);
  CHECK(y.shape() == Shape{2, 2});
  CHECK(y.value().to_vector<float>() == std::vector<float>{-1.5, -2.5, 4.5, 12.5});

  tape.backward(y, Tensor::from<float>({1, 0, 0, 2}, {2, 2}));
  CHECK(layer.weight().grad().to_vector<float>() == std::vector<float>{1, 0, -1, 4, 2, 0});
  CHECK(layer.bias().grad().to_vector<float>() == std::vector<float>{1, 2});
  CHECK(tape.grad(v).to_vector<float>() == std::vector<float>{1, 2, 3, 8, 10, 12});
}

TEST_CASE("a linear layer begins within 1 / sqrt(fan in)", "[linear]") {
  Linear layer(16, 50);
  for (const Parameter* p : {&layer.weight(), &layer.bias()}) {
    double most = 0;
    for (const float v : p->value().to_vector<float>())
      most = std::max(most, std::abs(static_cast<double>(v)));
    CHECK(most <= 0.25);
    CHECK(most > 0.2);
  }
}

TEST_CASE("a linear layer without bias", "[linear]") {
  Linear layer(3, 2, {.bias = false});
  CHECK_FALSE(layer.bias().defined());
  CHECK(layer.named_parameters().size() == 1);
  CHECK(layer.named_parameters().front().first == "weight");
  CHECK(layer.parameter_count() == 6);
  CHECK(layer(Var(Tensor::zeros({4, 3}, DType::f32))).value().to_vector<float>() == std::vector<float>(8));
  CHECK(layer.clone()->parameter_count() == 6);
}

TEST_CASE("a linear layer without features", "[linear]") {
  CHECK_THROWS_AS(Linear(0, 2), ArgumentError);
  CHECK_THROWS_WITH(Linear(0, 2), "[linear] there must be at least 1 feature in and out, got 0 and 2");
  CHECK_THROWS_AS(Linear(2, -1), ArgumentError);
}
