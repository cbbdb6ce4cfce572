#include "../../support/catch.h"
#include "../../support/random_tensor.h"
#include "../../support/rounding.h"
#include "../../support/throws.h"

#include <retrace/autograd/ops.h>
#include <retrace/autograd/tape.h>

#include <cmath>
#include <limits>
#include <utility>

using namespace retrace;
using namespace retrace::test;

TEST_CASE("activations keep one bit an element and no values", "[activation]") {
  for (const auto op : {+[](const Var& x) { return relu(x); }, +[](const Var& x) { return leaky_relu(x); },
                        +[](const Var& x) { return clamp(x, -1, 1); }}) {
    Tape tape;
    const Counter counter(Tag::saved);
    const std::int64_t before = counter.live();
    const Var y = op(tape.watch(random_tensor({3, 7, 11}, DType::f32, 1)));
    REQUIRE(tape.saved().size() == 1);
    const Tensor mask = tape.saved().front().tensor;
    CHECK(mask.dtype() == DType::u8);
    CHECK(mask.shape() == Shape{(231 + 7) / 8});
    CHECK(counter.live() == before + 64);
  }
}

TEST_CASE("without a tape no mask is made", "[activation]") {
  const Counter counter(Tag::saved);
  relu(random_tensor({100}, DType::f32, 1));
  CHECK(counter.total() == 0);
}

TEST_CASE("the mask's bits stand in order, and beyond the end they are 0", "[activation]") {
  Tape tape;
  const Var x = tape.watch(Tensor::from<float>({1, -1, 0, 2, -2, -3, 3, 4, -1, 5, 6}, {11}));
  relu(x);
  CHECK(tape.saved().front().tensor.to_vector<int>() == std::vector<int>{0b11001001, 0b110});
}

TEST_CASE("gelu in f32 has the digits of f32, far below 0 too", "[activation]") {
  Tensor x({1201}, DType::f32);
  for (std::int64_t i = 0; i < 1201; ++i) x.mutable_data<float>()[i] = static_cast<float>(i - 600) / 100;
  const auto both = [&](DType dtype) {
    Tape tape;
    const Var v = tape.watch(x.to(dtype, Tag::data));
    const Var y = gelu(v);
    tape.backward(y, Tensor::full(y.shape(), 1, dtype));
    return std::pair(y.value().to_vector<double>(), tape.grad(v).to_vector<double>());
  };
  const auto [y, dx] = both(DType::f32);
  const auto [expected, slope] = both(DType::f64);
  for (std::size_t i = 0; i < y.size(); ++i) {
    // The exponent -(x / sqrt(2))^2 has six roundings: two of the factor and the quotient, which the square
    // doubles, its own, and that of a sum. Each is x^2 / 2 times as large in the exponential. Ten are
    // elsewhere.
    const double v = x.values<float>()[i];
    CHECK(roundings(y[i], expected[i], DType::f32) <= 3 * v * v + 10);
    CHECK(std::abs(dx[i] - slope[i]) <= 10 * unit_roundoff(DType::f32));  // of sums of terms of about 1
  }
}

TEST_CASE("gelu and silu of large values are finite or x itself", "[activation]") {
  const Tensor x = Tensor::from<float>({-1e30F, -100, 100, 1e30F}, {4});
  const std::vector<float> expected = {0, 0, 100, 1e30F};
  for (const Var& y : {gelu(x), gelu(x, GeluApproximation::tanh), silu(x)})
    for (std::size_t i = 0; i < 4; ++i)
      CHECK(std::abs(y.value().to_vector<float>()[i] - expected[i]) <= 1e-30F);  // e^-100 may be more than 0
}

TEST_CASE("a NaN stays a NaN", "[activation]") {
  const Tensor x = Tensor::full({3}, std::numeric_limits<double>::quiet_NaN(), DType::f32);
  for (const Var& y : {relu(x), leaky_relu(x), clamp(x, 0, 1), abs(x), gelu(x), silu(x)})
    for (const float v : y.value().to_vector<float>()) CHECK(std::isnan(v));
}

TEST_CASE("infinite values and gradients are masked, too", "[activation]") {
  const double infinity = std::numeric_limits<double>::infinity();
  Tape tape;
  const Var x = tape.watch(Tensor::from<double>({-infinity, infinity, -1}, {3}));
  const Var y = relu(x);
  CHECK(y.value().to_vector<double>() == std::vector<double>{0, infinity, 0});
  tape.backward(y, Tensor::full({3}, infinity, DType::f64));
  CHECK(tape.grad(x).to_vector<double>() == std::vector<double>{0, infinity, 0});
}

TEST_CASE("clamp refuses limits in the wrong order", "[activation]") {
  const Tensor x = Tensor::zeros({2}, DType::f32);
  check_throws<ArgumentError>([&] { return clamp(x, 1, 0.5); },
                              "[clamp] low must be at most high, got 1 and 0.5");
}

TEST_CASE("a NaN's gradient is not stopped, nor is a NaN", "[activation]") {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const double infinity = std::numeric_limits<double>::infinity();
  const auto gradient = [](Var (*op)(const Var&), double x, double dy) {
    Tape tape;
    const Var leaf = tape.watch(Tensor::full({100}, x, DType::f32));
    tape.backward(op(leaf), Tensor::full({100}, dy, DType::f32));
    const std::vector<double> dx = tape.grad(leaf).to_vector<double>();
    CHECK(std::all_of(dx.begin(), dx.end(),
                      [&](double v) { return v == dx[0] || (std::isnan(v) && std::isnan(dx[0])); }));
    return dx[0];
  };
  CHECK(gradient(relu, nan, 2) == 2);
  CHECK(gradient(relu, -1, nan) == 0);  // PyTorch's threshold, which asks and does not multiply
  const auto slope_0 = [](const Var& x) { return leaky_relu(x, 0); };
  CHECK(std::isnan(gradient(slope_0, -1, nan)));
  CHECK(std::isnan(gradient(slope_0, -1, infinity)));
  CHECK(gradient(slope_0, -1, 2) == 0);
  CHECK(std::isnan(gradient(abs, 0, nan)));
  CHECK(std::isnan(gradient(abs, 0, infinity)));
  CHECK(gradient(abs, 0, 2) == 0);
}
