// Couplings against MemCNN's: outputs, inverses, gradients, weights after one step of SGD and buffers,
// through forward and through inverse, plain and wrapped.
#include <retrace/autograd/ops.h>
#include <retrace/nn/activation.h>
#include <retrace/nn/batch_norm.h>
#include <retrace/nn/conv2d.h>
#include <retrace/nn/optimizer.h>
#include <retrace/nn/sequential.h>
#include <retrace/revnet/adapters.h>
#include <retrace/revnet/coupling.h>
#include <retrace/revnet/wrapper.h>

#include <functional>
#include <memory>

#include "../support/catch.h"
#include "golden.h"

using namespace retrace;
using namespace retrace::test;

namespace {

std::shared_ptr<Conv2d> conv3x3(std::int64_t in, std::int64_t out) {
  return std::make_shared<Conv2d>(in, out, Conv2dLayerOptions{.kernel = 3, .padding = 1});
}

/// A function with two results, for an affine coupling without an adapter.
class ScaleAndShift final : public Module {
 public:
  explicit ScaleAndShift(std::int64_t channels)
      : scale_(conv3x3(channels, channels)), shift_(conv3x3(channels, channels)) {}
  Vars forward_all(const Vars& x) override { return {1.5 + tanh((*scale_)(x[0])), tanh((*shift_)(x[0]))}; }
  void members(Members& m) override {
    m.module("scale", scale_);
    m.module("shift", shift_);
  }

 private:
  std::shared_ptr<Module> copy() const override { return std::make_shared<ScaleAndShift>(*this); }
  std::shared_ptr<Conv2d> scale_;
  std::shared_ptr<Conv2d> shift_;
};

std::shared_ptr<Module> convolution(std::int64_t channels, std::int64_t out) {
  return std::make_shared<Sequential>(conv3x3(channels, out), std::make_shared<Tanh>());
}

std::shared_ptr<Module> normed(std::int64_t channels) {
  return std::make_shared<Sequential>(std::make_shared<BatchNorm2d>(channels), conv3x3(channels, channels),
                                      std::make_shared<Tanh>());
}

using MakeCoupling =
    std::function<std::shared_ptr<Coupling>(std::int64_t channels, const CouplingOptions& options)>;

const std::map<std::string, MakeCoupling>& kinds() {
  static const std::map<std::string, MakeCoupling> all = {
      {"additive",
       [](std::int64_t c, const CouplingOptions& options) {
         return std::make_shared<AdditiveCoupling>(convolution(c, c), convolution(c, c), options);
       }},
      {"additive with batch norm",
       [](std::int64_t c, const CouplingOptions& options) {
         return std::make_shared<AdditiveCoupling>(normed(c), normed(c), options);
       }},
      {"affine naive",
       [](std::int64_t c, const CouplingOptions& options) {
         return std::make_shared<AffineCoupling>(convolution(c, c), convolution(c, c),
                                                 adapter<AffineAdapterNaive>(), options);
       }},
      {"affine sigmoid",
       [](std::int64_t c, const CouplingOptions& options) {
         return std::make_shared<AffineCoupling>(convolution(c, 2 * c), convolution(c, 2 * c),
                                                 adapter<AffineAdapterSigmoid>(), options);
       }},
      {"affine without adapter",
       [](std::int64_t c, const CouplingOptions& options) {
         return std::make_shared<AffineCoupling>(std::make_shared<ScaleAndShift>(c),
                                                 std::make_shared<ScaleAndShift>(c), nullptr, options);
       }},
  };
  return all;
}

enum class Direction { forward, inverse };
Var run(InvertibleModule& module, Direction direction, const Var& x) {
  return direction == Direction::forward ? module.forward(x) : module.inverse(x);
}
Direction opposite(Direction d) { return d == Direction::forward ? Direction::inverse : Direction::forward; }

/// One step of SGD(0.1) on the mean of the squared outputs.
void check_training(GoldenCase& golden, InvertibleModule& module, Direction direction) {
  golden.load(module);
  {
    Tape tape;
    const Var x = tape.watch(golden.take("in", "x"));
    const Var y = run(module, direction, x);
    golden.check("out", "y", y.value());
    tape.backward(mean(square(y)));
    golden.check("grad", "x", tape.grad(x));
    golden.check("in", "x", x.value());  // the wrapper's reconstruction
  }
  golden.check_gradients(module);
  SGD(module.parameters(), {.lr = 0.1}).step();
  golden.check_parameters("trained", module);
  golden.check_buffers(module);
}

/// The way there and back, in evaluation: a batch norm's statistics in training are others in the inverse.
void check_round_trip(GoldenCase& golden, InvertibleModule& module, Direction direction) {
  golden.load(module);
  module.eval();
  const Var there = run(module, direction, golden.take("in", "x"));
  golden.check("in", "x", run(module, opposite(direction), there).value());
}

}  // namespace

TEST_CASE("couplings are MemCNN's", "[couplings]") {
  const GoldenFile file("couplings");
  std::set<std::string> compared;
  for (const auto& kind : kinds())
    for (const int split_dim : {0, 1, 2})
      for (const Direction direction : {Direction::forward, Direction::inverse}) {
        const std::string name = kind.first + " split_dim " + std::to_string(split_dim) +
                                 (direction == Direction::forward ? " forward" : " inverse");
        compared.insert(name);
        const auto coupling = [&](int implementation) {
          return kind.second(split_dim == 1 ? 2 : 4, {.implementation_fwd = implementation,
                                                      .implementation_bwd = implementation,
                                                      .split_dim = split_dim});
        };
        in_both_types(file, name, [&](GoldenCase& golden) {
          for (const int implementation : {-1, 0, 1}) {
            INFO("implementation " << implementation);
            check_training(golden, *coupling(implementation), direction);
            InvertibleModuleWrapper wrapper(coupling(implementation));
            check_training(golden, wrapper, direction);
          }
          check_round_trip(golden, *coupling(-1), direction);
        });
      }
  CHECK(file.cases() == compared);
}
