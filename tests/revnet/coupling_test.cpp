#include <retrace/nn/batch_norm.h>
#include <retrace/nn/conv2d.h>
#include <retrace/nn/sequential.h>
#include <retrace/revnet/coupling.h>
#include <retrace/revnet/is_invertible.h>
#include <retrace/revnet/reversible_block.h>
#include <retrace/revnet/wrapper.h>

#include <cmath>
#include <string>

#include "../support/catch.h"
#include "../support/throws.h"
#include "modules.h"

using namespace retrace;
using namespace retrace::test;

namespace {

/// x in f32.
class ToSingle final : public Module {
 public:
  Var forward(const Var& x) override { return cast(x, DType::f32); }

 private:
  std::shared_ptr<Module> copy() const override { return std::make_shared<ToSingle>(*this); }
};

/// Outputs and inverses through the formula, on a tape, and in place.
void check_directions(InvertibleModule& module, const Shape& shape) {
  const Tensor x = uniform(shape, 3);
  const Tensor y = module.advance({x}).front();
  CHECK(y.shape() == x.shape());
  Tape tape;
  CHECK(module.forward(tape.watch(x)).value().to_vector<double>() == y.to_vector<double>());
  CHECK(roundings(module.inverse(tape.watch(y)).value(), x) <= kRebuilt);
  CHECK(module.inverse(tape.watch(y)).value().to_vector<double>() ==
        module.retreat({y}).front().to_vector<double>());
}

}  // namespace

TEST_CASE("an additive coupling is its formula", "[coupling]") {
  auto F = std::make_shared<Layer>(2, 2);
  auto G = std::make_shared<Layer>(2, 2);
  AdditiveCoupling coupling(F, G);
  const Tensor x = uniform({3, 4}, 1);
  const Var x1 = slice(x, 1, 0, 2);
  const Var x2 = slice(x, 1, 2, 4);
  const Var y1 = x1 + F->forward(x2);
  const Var y2 = x2 + G->forward(y1);
  const Var y = coupling.forward(x);
  CHECK(y.value().to_vector<double>() == concatenate({y1, y2}, 1).value().to_vector<double>());
}

TEST_CASE("an affine coupling is its formula", "[coupling]") {
  auto F = std::make_shared<Layer>(2, 2);
  auto G = std::make_shared<Layer>(2, 2);
  AffineCoupling coupling(F, G, adapter<AffineAdapterNaive>());
  const Tensor x = uniform({3, 4}, 1);
  const Var x1 = slice(x, 1, 0, 2);
  const Var x2 = slice(x, 1, 2, 4);
  const Var t1 = F->forward(x2);
  const Var y1 = exp(t1) * x1 + t1;
  const Var t2 = G->forward(y1);
  const Var y2 = exp(t2) * x2 + t2;
  CHECK(roundings(coupling.forward(x).value(), concatenate({y1, y2}, 1).value()) <= 4);
}

TEST_CASE("couplings compute the same on a tape and in place, and invert", "[coupling]") {
  for (const Kind kind : kKinds) check_directions(*make_invertible(kind), {5, 4});
}

TEST_CASE("a coupling takes its two streams, too", "[coupling]") {
  const auto coupling = make_invertible(Kind::additive);
  const Tensor x = uniform({3, 4}, 1);
  const Tensor x1 = slice(x, 1, 0, 2).value();
  const Tensor x2 = slice(x, 1, 2, 4).value();
  const Vars y = coupling->forward_all({x1, x2});
  CHECK(concatenate(y, 1).value().to_vector<double>() == coupling->forward(x).value().to_vector<double>());
  const Vars back = coupling->inverse_all(y);
  CHECK(roundings(back[0].value(), x1) <= kRebuilt);
}

namespace {

struct Step {
  Tensor y;
  Tensor dx;
  std::vector<Named<Tensor>> gradients;
  std::vector<Tensor> buffers;
};

/// What a replay must not do twice (running statistics) and must do alike (masks).
std::shared_ptr<Module> norm_and_dropout() {
  auto f = std::make_shared<Sequential>(
      std::make_shared<Conv2d>(2, 2, Conv2dLayerOptions{.padding = 1, .bias = false}),
      std::make_shared<BatchNorm2d>(2), std::make_shared<Dropout>(0.5));
  f->to(DType::f64);
  return f;
}

Step step(std::string_view name, int implementation, bool inverse) {
  manual_seed(5);
  const auto coupling =
      create_coupling(norm_and_dropout(), nullptr, name, adapter<AffineAdapterNaive>(),
                      {.implementation_fwd = implementation, .implementation_bwd = implementation});
  Tape tape;
  const Var x = tape.watch(uniform({2, 4, 3, 3}, 1));
  const Var h = tanh(x);
  const Var y = inverse ? coupling->inverse(h) : coupling->forward(h);
  tape.backward(sum(y * y));
  std::vector<Tensor> buffers;
  for (const auto& [path, buffer] : coupling->named_buffers()) buffers.push_back(buffer->clone(Tag::data));
  return {y.value(), tape.grad(x), gradients(*coupling), buffers};
}

}  // namespace

TEST_CASE("all implementations draw the same masks and leave the same running statistics", "[coupling]") {
  for (const std::string_view name : {"additive", "affine"}) {
    for (const bool inverse : {false, true}) {
      const Step formula = step(name, -1, inverse);
      REQUIRE(formula.buffers.size() == 6);
      for (const int implementation : {0, 1}) {
        INFO(name << (inverse ? " inverse " : " forward ") << implementation);
        const Step other = step(name, implementation, inverse);
        CHECK(other.y.to_vector<double>() == formula.y.to_vector<double>());
        CHECK(roundings(other.dx, formula.dx) <= (implementation == 0 ? 0 : kRebuilt));
        // The gradients in front of a batch norm are what is left when the means of 18 numbers are taken
        // away.
        for (std::size_t i = 0; i < formula.gradients.size(); ++i)
          CHECK(roundings(other.gradients[i].second, formula.gradients[i].second) <= 10 * kRebuilt);
        for (std::size_t i = 0; i < formula.buffers.size(); ++i)
          CHECK(other.buffers[i].to_vector<double>() == formula.buffers[i].to_vector<double>());
      }
    }
  }
}

TEST_CASE("a change between forward and backward is an error that names the coupling", "[coupling]") {
  AdditiveCoupling coupling(std::make_shared<Layer>(2, 2), nullptr, {.implementation_fwd = 1});
  Tape tape;
  const Var y = sum(coupling.forward(tape.watch(uniform({3, 4}, 1))));
  coupling.named_parameters()[1].second->value().mutable_data<double>()[0] += 1;
  CHECK_THROWS_WITH(tape.backward(y),
                    "[AdditiveCoupling] parameters, buffers and train/eval mode must be in backward as "
                    "forward left them, but F.linear.bias changed");
}

TEST_CASE("wrong uses of couplings are errors", "[coupling]") {
  auto layer = std::make_shared<Layer>(2, 2);
  AdditiveCoupling coupling(layer);
  CHECK_THROWS_WITH(
      coupling.forward(uniform({2, 5}, 1)),
      "[AdditiveCoupling] dimension 1 of x must exist and be even to be cut into two streams, got [2,5]");
  CHECK_THROWS_WITH(
      coupling.forward(uniform({4}, 1)),
      "[AdditiveCoupling] dimension 1 of x must exist and be even to be cut into two streams, got [4]");
  const Var x = uniform({2, 2}, 1);
  CHECK_THROWS_WITH(coupling.forward_all({x, x, x}),
                    "[AdditiveCoupling] a coupling takes one tensor or its two streams, got 3 tensors");
  CHECK_THROWS_WITH(AdditiveCoupling(nullptr), "[AdditiveCoupling] F must be a module, got none");
  AdditiveCoupling wide(std::make_shared<Layer>(2, 4));
  CHECK_THROWS_WITH(wide.forward(uniform({2, 4}, 1)),
                    "[AdditiveCoupling] the result of F and G must have the stream's shape [2,2], got [2,4]");
  AdditiveCoupling single(std::make_shared<ToSingle>());
  CHECK_THROWS_WITH(
      single.forward(uniform({2, 4}, 1)),
      "[AdditiveCoupling] the result of F and G must have the stream's element type f64, got f32");
  AffineCoupling bare(layer);
  CHECK_THROWS_WITH(bare.forward(uniform({2, 4}, 1)),
                    "[AffineCoupling] F and G must return a scale and a shift, got 1 tensors");
  AffineCoupling odd(std::make_shared<Layer>(2, 3), nullptr, adapter<AffineAdapterSigmoid>());
  CHECK_THROWS_WITH(
      odd.forward(uniform({2, 4}, 1)),
      "[AffineAdapterSigmoid] f must return an even number of channels, half of them scales, got [2,3]");
  AffineCoupling narrow(std::make_shared<Layer>(2, 2), nullptr, adapter<AffineAdapterSigmoid>());
  CHECK_THROWS_WITH(narrow.forward(uniform({2, 4}, 1)),
                    "[AffineCoupling] the scale must have the stream's shape [2,2], got [2,1]");
}

namespace {

/// x -> (s, 1) with one s for all elements.
class FixedScale final : public Module {
 public:
  explicit FixedScale(double s) : s_(s) {}
  Vars forward_all(const Vars& x) override {
    return {Var(Tensor::full(x[0].shape(), s_, x[0].dtype())), x[0] * 0 + 1};
  }

 private:
  std::shared_ptr<Module> copy() const override { return std::make_shared<FixedScale>(*this); }
  double s_;
};

}  // namespace

TEST_CASE("an affine coupling that lost its input says so", "[coupling]") {
  const auto [s, printed] = GENERATE(
      table<double, std::string>({{0.0, "0 to 0"}, {INFINITY, "inf to inf"}, {std::nan(""), "inf to inf"}}));
  const std::string text =
      "[AffineCoupling] to be undone, y = s x + t must have a scale s that is finite and not 0, got |s| "
      "from " +
      printed;
  const auto coupling = std::make_shared<AffineCoupling>(std::make_shared<FixedScale>(s));
  const Tensor x = uniform({2, 4}, 1);
  CHECK_FALSE(is_invertible_module(*coupling, Shape{2, 4}, {.dtype = DType::f64}));
  {
    const NoTape no_tape;
    check_throws<InvertibilityError>([&] { return coupling->retreat({x}); }, text);
  }
  {
    Tape tape;
    check_throws<InvertibilityError>([&] { return coupling->inverse(tape.watch(x)); }, text);
  }
  InvertibleModuleWrapper wrapped(coupling);
  Tape tape;
  const Var leaf = tape.watch(x.clone(Tag::activation));
  const Var y = wrapped(leaf);
  CHECK_THROWS_WITH(tape.backward(sum(y)), text);
  CHECK_THROWS_AS(leaf.value().to_vector<double>(), ReleasedError);
}

TEST_CASE("an affine coupling's own formula needs no inverse", "[coupling]") {
  AffineCoupling coupling(std::make_shared<FixedScale>(0));
  Tape tape;
  const Var x = tape.watch(uniform({2, 4}, 1));
  const Var y = coupling.forward(x);
  CHECK(y.value().to_vector<double>() == std::vector<double>(8, 1));
  tape.backward(sum(y));
  CHECK(tape.grad(x).to_vector<double>() == std::vector<double>(8, 0));
}
