#include "../support/catch.h"
#include "../support/throws.h"

#include <retrace/autograd/gradient_check.h>
#include <retrace/autograd/ops.h>
#include <retrace/autograd/record.h>
#include <retrace/core/kernels.h>

#include <cmath>
#include <limits>

using namespace retrace;
using test::check_throws;

namespace {

Tensor numbers(std::initializer_list<double> values) {
  return Tensor::from(values, {static_cast<std::int64_t>(values.size())});
}

/// y = x^2, but dx = factor 2 x dy.
Var scaled_square(const Var& x, double factor) {
  Tensor y = like(x.value());
  kernel::mul(x.value(), x.value(), y);
  return record("scaled_square", {x}, y, {x.value()},
                [factor](const Tensor& dy, Saved saved, const Wants&) -> Tensors {
                  Tensor dx = like(dy, Tag::gradient);
                  kernel::mul(dy, saved[0], dx);
                  kernel::scale_shift(dx, 2 * factor, 0, dx);
                  return {dx};
                });
}

}  // namespace

TEST_CASE("a right gradient passes both checks", "[gradient_check]") {
  const auto f = [](const Vars& x) { return exp(x[0]) * tanh(x[1]); };
  const Tensors inputs = {numbers({0.3, -1, 2}), numbers({1, 0.5, -0.2})};
  const GradientCheck check = check_gradient(f, inputs);
  INFO(check.report);
  CHECK(check);
  CHECK(check.worst_error < 1e-9);
  CHECK(check.report.starts_with("6 partial derivatives, worst error "));
  const TaylorTest test = taylor_test(f, inputs);
  INFO(test.report);
  CHECK(test);
  CHECK(test.slope == Approx(2).margin(0.05));
}

TEST_CASE("a wrong gradient fails both checks, and the report names where", "[gradient_check]") {
  const auto f = [](const Vars& x) { return scaled_square(x[0], 1.001); };
  const Tensors inputs = {numbers({0, 3, 0})};
  const GradientCheck check = check_gradient(f, inputs);
  CHECK(!check);
  CHECK(check.worst_error > 1e-4);
  CHECK(check.report.find("(at most 1e-07): input 0 [3], element 1: the tape gives ") != std::string::npos);
  const TaylorTest test = taylor_test(f, inputs, {.step = 1e-3});
  CHECK(!test);
  CHECK(test.slope < 1.5);
  CHECK(test.report.find("slope ") != std::string::npos);
  CHECK(check_gradient([](const Vars& x) { return scaled_square(x[0], 1); }, inputs));
}

TEST_CASE("a missing gradient fails", "[gradient_check]") {
  const auto detached = [](const Vars& x) { return Var(square(x[0]).value()) + x[0] * 0.0; };
  CHECK(!check_gradient(detached, {numbers({1, 2})}));
  CHECK(!taylor_test(detached, {numbers({1, 2})}));
}

TEST_CASE("a NaN fails", "[gradient_check]") {
  const auto f = [](const Vars& x) { return sqrt(x[0]); };
  CHECK(!check_gradient(f, {numbers({-1})}));
  CHECK(!taylor_test(f, {numbers({-1})}));
}

TEST_CASE("a linear function has nothing but rounding for a remainder", "[gradient_check]") {
  const TaylorTest test =
      taylor_test([](const Vars& x) { return 3 * x[0] - x[1]; }, {numbers({1}), numbers({2})});
  CHECK(test);
  CHECK(std::isinf(test.slope));
}

TEST_CASE("integer inputs are constants", "[gradient_check]") {
  const Tensor labels = Tensor::from<std::int64_t>({1, 0}, {2});
  const Tensor logits = Tensor::from<double>({0.1, 0.7, -0.3, 0.2}, {2, 2});
  const GradientCheck check =
      check_gradient([](const Vars& x) { return cross_entropy(x[0], x[1].value()); }, {logits, labels});
  CHECK(check);
  CHECK(check.report.starts_with("4 partial derivatives"));
}

TEST_CASE("parameters are checked where they are, and left as they were", "[gradient_check]") {
  Parameter weight(numbers({0.5, -2}));
  const auto f = [&](const Vars& x) { return tanh(x[0] * weight); };
  const Tensors inputs = {numbers({1, 2})};
  CHECK(check_gradient(f, inputs, {.parameters = {&weight}}).report.starts_with("4 partial derivatives"));
  CHECK(check_gradient(f, inputs, {.parameters = {&weight}}));
  CHECK(taylor_test(f, inputs, {.parameters = {&weight}}));
  CHECK(weight.value().to_vector<double>() == std::vector<double>{0.5, -2});
  CHECK(!weight.has_grad());
}

TEST_CASE("parameters come back after an error, too", "[gradient_check]") {
  Parameter weight(numbers({0.5}));
  int runs = 0;
  const auto f = [&](const Vars&) {
    if (++runs == 3) throw ArgumentError("[test] broken on purpose");
    return square(weight);
  };
  CHECK_THROWS_AS(check_gradient(f, {}, {.parameters = {&weight}}), ArgumentError);
  CHECK(runs == 3);
  CHECK(weight.value().item() == 0.5);
}

TEST_CASE("samples limits the elements that are checked", "[gradient_check]") {
  const Tensor x = Tensor::full({100}, 0.5, DType::f64);
  const GradientCheck check = check_gradient([](const Vars& v) { return square(v[0]); }, {x}, {.samples = 7});
  CHECK(check);
  CHECK(check.report.starts_with("7 partial derivatives"));
}

TEST_CASE("every evaluation draws the same random numbers", "[gradient_check]") {
  const auto f = [](const Vars& x) { return dropout(square(x[0]), 0.5); };
  const Tensor x = Tensor::full({20}, 0.7, DType::f64);
  CHECK(check_gradient(f, {x}));
  CHECK(taylor_test(f, {x}));
}

TEST_CASE("inputs are not written", "[gradient_check]") {
  const Tensor x = numbers({1, 2});
  const std::uint64_t content = x.storage().content();
  CHECK(check_gradient([](const Vars& v) { return square(v[0]); }, {x}));
  CHECK(x.storage().content() == content);
}

TEST_CASE("differences in f32 are refused", "[gradient_check]") {
  const auto f = [](const Vars& x) { return square(x[0]); };
  const Tensor x = Tensor::zeros({2}, DType::f32);
  check_throws<DTypeError>(
      [&] { return check_gradient(f, {x}); },
      "[check_gradient] input 0 must be f64, because differences in f32 tell nothing, got f32");
  Parameter weight(Tensor::zeros({2}, DType::f32));
  check_throws<DTypeError>(
      [&] { return taylor_test(f, {numbers({1})}, {.parameters = {&weight}}); },
      "[taylor_test] parameter 0 must be f64, because differences in f32 tell nothing, got f32");
}

TEST_CASE("a check without a function, a parameter or a step is refused", "[gradient_check]") {
  const auto f = [](const Vars& x) { return square(x[0]); };
  const Tensors x = {numbers({1})};
  check_throws<ArgumentError>([&] { return check_gradient(nullptr, x); },
                              "[check_gradient] the function must not be empty");
  check_throws<ArgumentError>([&] { return taylor_test(f, x, {.parameters = {nullptr}}); },
                              "[taylor_test] no parameter may be null");
  constexpr double kInf = std::numeric_limits<double>::infinity();
  check_throws<ArgumentError>([&] { return check_gradient(f, x, {.step = 0}); },
                              "[check_gradient] step must be above 0, got 0");
  check_throws<ArgumentError>([&] { return check_gradient(f, x, {.tolerance = kInf}); },
                              "[check_gradient] tolerance must be finite, got inf");
  check_throws<ArgumentError>([&] { return taylor_test(f, x, {.step = std::nan("")}); },
                              "[taylor_test] step must be above 0, got nan");
  check_throws<ArgumentError>([&] { return taylor_test(f, x, {.halvings = 0}); },
                              "[taylor_test] halvings must be at least 1, got 0");
  check_throws<ArgumentError>([&] { return taylor_test(f, x, {.slope = -kInf}); },
                              "[taylor_test] slope must be finite, got -inf");
}
