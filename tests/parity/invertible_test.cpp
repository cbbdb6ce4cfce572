#include <retrace/nn/dropout.h>
#include <retrace/revnet/is_invertible.h>
#include <retrace/revnet/wrapper.h>

#include "../support/catch.h"
#include "../support/throws.h"
#include "compile.h"
#include "modules.h"

using namespace retrace;
using namespace retrace::test;

namespace {

const Shape kShape{1, 10, 10, 10};
constexpr std::uint64_t kSeeds[] = {1, 42, 900000};

/// Multiplies by one number forward and by another one back.
class Numbers final : public InvertibleModule {
 public:
  Numbers(double forward, double back) : forward_(forward), back_(back) {}
  Var forward(const Var& x) override { return x * forward_; }
  Var inverse(const Var& y) override { return y * back_; }

 private:
  std::shared_ptr<Module> copy() const override { return std::make_shared<Numbers>(*this); }
  double forward_;
  double back_;
};

/// x -> (x^2, x^2), the same bytes twice; back through the larger of the two roots.
class SquareTwice final : public InvertibleModule {
 public:
  Vars forward_all(const Vars& x) override {
    const Var y = x.front() * x.front();
    return {y, y};
  }
  Vars inverse_all(const Vars& y) override {
    const Var root = sqrt(y[0]);
    return {root + relu(sqrt(y[1]) - root)};
  }

 private:
  std::shared_ptr<Module> copy() const override { return std::make_shared<SquareTwice>(*this); }
};

/// What the compiler says of a program that wraps this class; empty when it compiles.
std::string complaints_of_wrapping(const std::string& type) {
  return complaints_of("void wrap(const std::shared_ptr<retrace::" + type +
                       ">& m) { const retrace::InvertibleModuleWrapper wrapper(m); }");
}

}  // namespace

TEST_CASE("[P40] what is not the inverse of the other is not invertible, wrapped or not", "[P40]") {
  const auto invertible = [](const std::shared_ptr<InvertibleModule>& module, const Shape& shape) {
    const InvertibilityReport report = is_invertible_module(*module, shape);
    const InvertibilityReport wrapped = is_invertible_module(InvertibleModuleWrapper(module), shape);
    CHECK(report.invertible == wrapped.invertible);
    CHECK(report.invertible == report.errors.empty());
    return static_cast<bool>(report);
  };
  CHECK_FALSE(invertible(std::make_shared<Numbers>(1, 0), {12, 12}));
  CHECK_FALSE(invertible(std::make_shared<Factor>(0), {12, 12}));
  CHECK_FALSE(invertible(std::make_shared<Numbers>(4, 8), kShape));
  const InvertibilityReport fake = is_invertible_module(Numbers(4, 8), kShape);
  CHECK(fake.errors.size() == 2);  // of x and of y
  CHECK(fake.worst_error > 31);

  const InvertibilityReport conv = is_invertible_module(Conv2d(10, 10, {.kernel = 1}), kShape);
  CHECK_FALSE(conv);
  CHECK(conv.errors ==
        std::vector<std::string>{"the module has no inverse: it is not derived from InvertibleModule"});
}

TEST_CASE("[P40] couplings and factors are invertible for every seed, wrapped or not", "[P40]") {
  for (const std::uint64_t seed : kSeeds) {
    CHECK(is_invertible_module(Factor(1), Shape{1}, {.random_seed = seed}));
    manual_seed(seed);
    const auto coupling = std::make_shared<AdditiveCoupling>(conv_norm());
    CHECK(is_invertible_module(*coupling, kShape, {.random_seed = seed}));
    CHECK(is_invertible_module(InvertibleModuleWrapper(coupling), kShape, {.random_seed = seed}));
  }
}

// MemCNN wraps anything and fails at the first call.
TEST_CASE("[P40] wrapping a module without an inverse does not compile", "[P40]") {
  CHECK(complaints_of_wrapping("AdditiveCoupling").empty());
  CHECK_THAT(complaints_of_wrapping("Conv2d"),
             Catch::Matchers::ContainsSubstring(
                 "InvertibleModuleWrapper needs a module with an inverse: derive it from "
                 "retrace::InvertibleModule"));
}

TEST_CASE("[P41] shared outputs are invertible, with a warning", "[P41]") {
  const InvertibilityReport report = is_invertible_module(SquareTwice(), {Shape{1, 2, 5, 5}});
  CHECK(report);
  CHECK(report.warnings == std::vector<std::string>{"in forward, outputs 0 and 1 share their bytes"});
}

TEST_CASE("[P41] the identity is invertible, with a warning for each direction that returns its input",
          "[P41]") {
  const std::string forward =
      "in forward, output 0 shares its bytes with an input, which will not be released";
  const std::string inverse =
      "in inverse, output 0 shares its bytes with an input, which will not be released";
  const auto warnings = [](const Module& module) {
    const InvertibilityReport report = is_invertible_module(module, Shape{1, 2, 5, 5});
    CHECK(report);
    return report.warnings;
  };
  CHECK(warnings(Factor(1, false, false)) == std::vector<std::string>{forward, inverse});
  CHECK(warnings(Factor(1, true, false)) == std::vector<std::string>{inverse});
  CHECK(warnings(Factor(1, false, true)) == std::vector<std::string>{forward});
  CHECK(warnings(Factor(1)).empty());

  const auto identity = std::make_shared<Factor>(1, false, false);
  CHECK(warnings(InvertibleModuleWrapper(identity)).size() == 2);
}

// MemCNN's shapes are Python tuples of anything; ours are refused by Shape itself.
TEST_CASE("[P42] malformed shapes are errors that say what is wrong", "[P42]") {
  const Factor module(1);
  check_throws<ArgumentError>([&] { is_invertible_module(module, std::vector<Shape>{}); },
                              "[is_invertible_module] there must be at least one input shape, got none");
  const auto refused = [&](std::initializer_list<std::int64_t> extents, const std::string& text) {
    check_throws<ShapeError>([&] { is_invertible_module(module, {Shape{1, 3}, Shape(extents)}); }, text);
    check_throws<ShapeError>([&] { is_invertible_module(module, Shape(extents)); }, text);
  };
  constexpr std::int64_t kHuge = std::int64_t{1} << 40;
  refused({2, -1}, "[shape] every extent must be at least 1, got [2,-1]");
  refused({0}, "[shape] every extent must be at least 1, got [0]");
  refused({kHuge, kHuge},
          "[shape] the product of the extents must be at most 2^59, got [1099511627776,1099511627776]");
  refused({1, 1, 1, 1, 1, 1, 1, 1, 1}, "[shape] the rank must be at most 8, got 9");
  // The largest shape is an honest question, too; no machine has its bytes.
  CHECK_THROWS_AS(is_invertible_module(module, Shape{std::int64_t{1} << 59}), OutOfMemoryError);
}

TEST_CASE("[P42] as many shapes as the module takes, or an error in the report", "[P42]") {
  const InvertibilityReport report = is_invertible_module(Factor(1), {Shape{1, 3}, Shape{12, 4}});
  CHECK_FALSE(report);
  CHECK(report.errors == std::vector<std::string>{"[module] this module takes 1 input, got 2"});
}

// MemCNN seeds the global generator anew and runs the module in training mode six times, so that its running
// statistics move.
TEST_CASE("[P43] nothing changes: no statistic, no parameter, no random number of the program", "[P43]") {
  const auto coupling = std::make_shared<AdditiveCoupling>(
      std::make_shared<Sequential>(conv_norm(), std::make_shared<Dropout>(0.5)));
  InvertibleModuleWrapper wrapper(coupling);
  wrapper.named_modules().back().second->eval();
  wrapper.parameters()[0]->accumulate_grad(Tensor::full(wrapper.parameters()[0]->shape(), 1, DType::f32));
  const auto state = [&] {
    std::vector<std::uint64_t> numbers;
    for (const Parameter* p : wrapper.parameters()) {
      numbers.push_back(p->value().storage().content());
      numbers.push_back(p->grad().defined() ? p->grad().storage().content() : 0);
    }
    for (const auto& [name, buffer] : wrapper.named_buffers()) numbers.push_back(buffer->storage().content());
    for (const auto& [name, module] : wrapper.named_modules()) numbers.push_back(module->training() ? 1 : 0);
    numbers.push_back(generator_state().step);
    return numbers;
  };
  const auto next_number = [] { return uniform_at(next_stream(), 0); };
  manual_seed(5);
  const float undisturbed = next_number();
  manual_seed(5);
  const std::vector<std::uint64_t> before = state();
  CHECK(before.size() > 14);
  for (const std::uint64_t seed : kSeeds) {
    CHECK(is_invertible_module(*coupling, kShape, {.atol = 1e-5, .random_seed = seed}));
    CHECK(is_invertible_module(wrapper, kShape, {.atol = 1e-5, .random_seed = seed}));
  }
  CHECK(state() == before);
  CHECK(next_number() == undisturbed);
}
