#include <retrace/nn/activation.h>
#include <retrace/nn/batch_norm.h>
#include <retrace/nn/conv2d.h>
#include <retrace/nn/sequential.h>
#include <retrace/revnet/is_invertible.h>

#include <functional>
#include <limits>

#include "../support/catch.h"
#include "modules.h"

using namespace retrace;
using namespace retrace::test;

namespace {

/// Two functions as a module.
class Functions final : public InvertibleModule {
 public:
  using Function = std::function<Var(const Var&)>;
  Functions(Function forward, Function inverse)
      : forward_(std::move(forward)), inverse_(std::move(inverse)) {}
  Var forward(const Var& x) override { return forward_(x); }
  Var inverse(const Var& y) override { return inverse_(y); }

 private:
  std::shared_ptr<Module> copy() const override { return std::make_shared<Functions>(*this); }
  Function forward_;
  Function inverse_;
};

std::shared_ptr<Module> conv(std::int64_t channels) {
  return std::make_shared<Conv2d>(channels, channels, Conv2dLayerOptions{.kernel = 3, .padding = 1});
}

/// Couplings of 16 channels whose F and G are convolutions, with batch norm and ReLU in f32.
std::shared_ptr<InvertibleModule> couplings(int depth, DType dtype = DType::f32) {
  manual_seed(1);
  std::vector<std::shared_ptr<InvertibleModule>> blocks;
  for (int b = 0; b < depth; ++b) {
    std::shared_ptr<Module> F = conv(8);
    if (dtype == DType::f32)
      F = std::make_shared<Sequential>(F, std::make_shared<BatchNorm2d>(8), std::make_shared<ReLU>());
    blocks.push_back(std::make_shared<AdditiveCoupling>(F));
  }
  auto module = std::make_shared<InvertibleSequence>(std::move(blocks));
  module->to(dtype);
  return module;
}

const Shape kShape{20, 16, 16, 16};

/// x + a, and its inverse with an error.
Functions shift(double a, double error) {
  return {[=](const Var& x) { return x + a; }, [=](const Var& y) { return y - (a + error); }};
}

}  // namespace

TEST_CASE("a correct module is invertible at the defaults, whatever its rounding", "[is_invertible]") {
  for (const int depth : {1, 6}) {
    for (const DType dtype : {DType::f32, DType::bf16, DType::f16}) {
      const auto module = couplings(depth, dtype);
      const InvertibilityReport report = is_invertible_module(*module, kShape, {.dtype = dtype});
      INFO(depth << " in " << name_of(dtype) << ": " << report.worst_error);
      CHECK(report.invertible);
      CHECK(report.errors.empty());
      REQUIRE(report.worst_error > 1e-6);
      CHECK(report.rounding);
      REQUIRE(report.worst_error_f64);
      CHECK(*report.worst_error_f64 <= 1e4 * unit_roundoff(DType::f64));  // a coupling magnifies 4 times
      REQUIRE_FALSE(report.warnings.empty());
      CHECK(report.warnings.front().find("by rounding: in f64 by ") != std::string::npos);
    }
  }
}

TEST_CASE("without allow_rounding the answer is MemCNN's, and the errors still tell", "[is_invertible]") {
  const InvertibilityReport strict = is_invertible_module(*couplings(1), kShape, {.allow_rounding = false});
  CHECK_FALSE(strict);
  CHECK(strict.rounding);
  REQUIRE_FALSE(strict.errors.empty());
  CHECK(strict.errors.front().find("by rounding: in f64 by ") != std::string::npos);
}

TEST_CASE("a wrong inverse is no rounding, however small its error", "[is_invertible]") {
  for (const DType dtype : {DType::f32, DType::bf16}) {
    const InvertibilityReport wrong = is_invertible_module(shift(1, 0x1p-6), Shape{4, 4}, {.dtype = dtype});
    CHECK_FALSE(wrong);
    CHECK_FALSE(wrong.rounding);
    CHECK(wrong.worst_error_f64 == 0x1p-6);
  }
  const InvertibilityReport slight = is_invertible_module(shift(1, 3e-6), Shape{4, 4});
  CHECK_FALSE(slight);
  CHECK_FALSE(slight.rounding);
  REQUIRE(slight.errors.size() == 1);  // of x: the tolerance of y, which is above 1, is larger
  CHECK(slight.errors.front().find("rounding") == std::string::npos);
  const InvertibilityReport in_f64 = is_invertible_module(shift(1, 3e-6), Shape{4, 4}, {.dtype = DType::f64});
  CHECK_FALSE(in_f64);
  CHECK_FALSE(in_f64.worst_error_f64);  // it is worst_error
}

TEST_CASE("rounding that leaves less than half of the digits is a no", "[is_invertible]") {
  const InvertibilityReport lost = is_invertible_module(shift(1e5, 0), Shape{4, 4});
  CHECK(lost.worst_error > 3.5e-4);  // 1e5 + x has steps of 2^-7
  CHECK_FALSE(lost);
  CHECK(lost.rounding);
  CHECK(lost.errors.front().find("; less than half of the digits of f32 are left") != std::string::npos);
}

TEST_CASE("the tolerance can scale with the values", "[is_invertible]") {
  const Functions module([](const Var& x) { return x * 1000.0; },
                         [](const Var& y) { return y * 0.001 + 1e-4; });
  CHECK_FALSE(is_invertible_module(module, Shape{100}));
  // x up to 1 differs by 1e-4, y up to 1000 by 0.1.
  CHECK(is_invertible_module(module, Shape{100}, {.rtol = 2e-4}));
  CHECK_FALSE(is_invertible_module(module, Shape{100}, {.rtol = 0.5e-4}));
}

TEST_CASE("a module that bf16 does not run in says why", "[is_invertible]") {
  const Var one = Tensor::full({1}, 1, DType::f32);
  const Functions module([=](const Var& x) { return x + one; }, [=](const Var& y) { return y - one; });
  CHECK(is_invertible_module(module, Shape{4}));
  const InvertibilityReport report = is_invertible_module(module, Shape{4}, {.dtype = DType::bf16});
  CHECK_FALSE(report);
  CHECK(report.errors == std::vector<std::string>{"[add] y must be bf16 as x is, got f32"});
}

TEST_CASE("tolerances are finite and not negative", "[is_invertible]") {
  const Functions module([](const Var& x) { return x + 1; }, [](const Var& y) { return y - 1; });
  const auto try_with = [&](const InvertibilityOptions& options) {
    return is_invertible_module(module, Shape{4}, options);
  };
  CHECK_THROWS_AS(try_with({.atol = -1}), ArgumentError);
  CHECK_THROWS_WITH(try_with({.atol = -1}), "[is_invertible_module] atol must be at least 0, got -1");
  CHECK_THROWS_WITH(try_with({.rtol = std::numeric_limits<double>::infinity()}),
                    "[is_invertible_module] rtol must be finite, got inf");
}
