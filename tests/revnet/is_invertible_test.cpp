#include <retrace/nn/batch_norm.h>
#include <retrace/nn/conv2d.h>
#include <retrace/nn/sequential.h>
#include <retrace/revnet/is_invertible.h>

#include "../support/catch.h"
#include "modules.h"

using namespace retrace;
using namespace retrace::test;

namespace {

/// Multiplies by one number forward and by another one back.
class Faulty final : public InvertibleModule {
 public:
  Faulty(double forward, double back) : forward_(forward), back_(back) {}
  Var forward(const Var& x) override { return x * forward_; }
  Var inverse(const Var& y) override { return y * back_; }

 private:
  std::shared_ptr<Module> copy() const override { return std::make_shared<Faulty>(*this); }
  double forward_;
  double back_;
};

/// x -> (x, x).
class Twice final : public InvertibleModule {
 public:
  Vars forward_all(const Vars& x) override { return {x.front(), x.front()}; }
  Vars inverse_all(const Vars& y) override { return {y.front()}; }

 private:
  std::shared_ptr<Module> copy() const override { return std::make_shared<Twice>(*this); }
};

std::shared_ptr<Sequential> conv_and_norm() {
  return std::make_shared<Sequential>(
      std::make_shared<Conv2d>(5, 5, Conv2dLayerOptions{.kernel = 3, .padding = 1}),
      std::make_shared<BatchNorm2d>(5));
}

}  // namespace

TEST_CASE("modules that are invertible, and modules that are not", "[is_invertible]") {
  const Shape shape{4, 4};
  CHECK(is_invertible_module(Faulty(2, 0.5), shape));
  CHECK_FALSE(is_invertible_module(Faulty(0, 1), shape));
  const InvertibilityReport fake = is_invertible_module(Faulty(4, 8), shape);
  CHECK_FALSE(fake);
  CHECK(fake.errors.size() == 2);
  CHECK(fake.worst_error > 1);
  CHECK_FALSE(is_invertible_module(Layer(4, 4), shape));
  CHECK(is_invertible_module(Layer(4, 4), shape).errors.front() ==
        "the module has no inverse: it is not derived from InvertibleModule");
}

TEST_CASE("a coupling with batch norm is invertible, wrapped or not, and stays as it was",
          "[is_invertible]") {
  const auto coupling = std::make_shared<AdditiveCoupling>(conv_and_norm());
  const InvertibleModuleWrapper wrapper(coupling);
  std::vector<std::vector<double>> before;
  for (const auto& [name, buffer] : coupling->named_buffers()) before.push_back(buffer->to_vector<double>());
  const GeneratorState state = generator_state();
  for (const std::uint64_t seed : {1, 42, 900000}) {
    CHECK(is_invertible_module(*coupling, Shape{2, 10, 8, 8}, {.atol = 1e-5, .random_seed = seed}));
    CHECK(is_invertible_module(wrapper, Shape{2, 10, 8, 8}, {.atol = 1e-5, .random_seed = seed}));
  }
  std::size_t i = 0;
  for (const auto& [name, buffer] : coupling->named_buffers())
    CHECK(buffer->to_vector<double>() == before[i++]);
  CHECK(generator_state().step == state.step);
}

TEST_CASE("shared outputs and the identity are invertible, with a warning", "[is_invertible]") {
  const InvertibilityReport identity = is_invertible_module(Identity(), Shape{2, 4});
  CHECK(identity);
  CHECK(identity.warnings ==
        std::vector<std::string>{"output 0 shares its bytes with an input, which will not be released"});
  const InvertibilityReport twice = is_invertible_module(Twice(), Shape{2, 4});
  CHECK(twice);
  CHECK(twice.warnings.back() == "outputs 0 and 1 share their bytes");
}

TEST_CASE("malformed shapes are errors", "[is_invertible]") {
  CHECK_THROWS_WITH(is_invertible_module(Identity(), std::vector<Shape>{}),
                    "[is_invertible_module] there must be at least one input shape, got none");
  CHECK_THROWS_AS(is_invertible_module(Identity(), Shape{2, -1}), ShapeError);
}
