#include <retrace/autograd/ops/activation.h>
#include <retrace/core/error.h>
#include <retrace/nn/activation.h>

#include <cmath>
#include <limits>

#include "../support/catch.h"
#include "../support/rounding.h"

using namespace retrace;
using test::roundings;

namespace {

/// y and dx of a module at x = -2, 0, 3 with dy = 1.
void check_at(Module& module, const std::vector<double>& y, const std::vector<double>& dx) {
  Tape tape;
  const Var x = tape.watch(Tensor::from<double>({-2, 0, 3}, {3}));
  const Var result = module(x);
  CHECK(roundings(result.value(), y) <= 10);
  tape.backward(result, Tensor::full({3}, 1, DType::f64));
  CHECK(roundings(tape.grad(x), dx) <= 30);  // 15 decimals of a table are 18 roundings of 0.25
}

}  // namespace

TEST_CASE("activations", "[activation]") {
  ReLU relu;
  check_at(relu, {0, 0, 3}, {0, 0, 1});
  LeakyReLU leaky;
  check_at(leaky, {-0.02, 0, 3}, {0.01, 0.01, 1});
  LeakyReLU steeper(0.25);
  check_at(steeper, {-0.5, 0, 3}, {0.25, 0.25, 1});
  check_at(*steeper.clone(), {-0.5, 0, 3}, {0.25, 0.25, 1});
  // 1 - tanh(2)^2, 1 - tanh(3)^2, s(2) s(-2), s(3) s(-3) from a table
  Tanh tanh;
  check_at(tanh, {-0.964027580075817, 0, 0.995054753686730}, {0.070650824853164, 1, 0.009866037165440});
  // PyTorch's, of f64
  SiLU silu;
  check_at(silu, {-0.2384058440442351, 0, 2.8577223804672998},
           {-0.09078424878489547, 0.5, 1.0881041060151693});
  GELU gelu;
  check_at(gelu, {-0.04550026389635842, 0, 2.99595030590511}, {-0.08523180107819692, 0.5, 1.011945647204184});
  GELU approximate({.approximate = GeluApproximation::tanh});
  const std::vector<double> values = {-0.04540230591222494, 0, 2.996362607918227};
  const std::vector<double> slopes = {-0.0860992566236183, 0.5, 1.0115841666309695};
  check_at(approximate, values, slopes);
  check_at(*approximate.clone(), values, slopes);
  Sigmoid sigmoid;
  check_at(sigmoid, {0.119202922022118, 0.5, 0.952574126822433},
           {0.104993585403507, 0.25, 0.045176659730912});
}

TEST_CASE("a slope that is not finite is refused", "[activation]") {
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  CHECK_THROWS_AS(LeakyReLU(kNan), ArgumentError);
  CHECK_THROWS_WITH(LeakyReLU(kNan), "[leaky_relu] negative_slope must be finite, got nan");
  CHECK_THROWS_WITH(leaky_relu(Var(Tensor::zeros({1}, DType::f32)), -std::numeric_limits<double>::infinity()),
                    "[leaky_relu] slope must be finite, got -inf");
}
