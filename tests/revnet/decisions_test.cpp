// Decisions (masks, indices) that a replay takes from forward.
#include <retrace/autograd/decisions.h>
#include <retrace/nn/batch_norm.h>
#include <retrace/nn/conv2d.h>
#include <retrace/nn/sequential.h>
#include <retrace/revnet/checkpoint.h>
#include <retrace/revnet/networks.h>

#include <functional>

#include "../support/catch.h"
#include "modules.h"

using namespace retrace;
using namespace retrace::test;

namespace {

using Function = std::function<Var(const Var&)>;

/// A function as a module.
class Activation final : public Module {
 public:
  explicit Activation(Function f) : f_(std::move(f)) {}
  Var forward(const Var& x) override { return f_(x); }

 private:
  std::shared_ptr<Module> copy() const override { return std::make_shared<Activation>(*this); }
  Function f_;
};

/// Invertible by a decision: y = x where x > 0, else x / 2.
class Leaky final : public InvertibleModule {
 public:
  Var forward(const Var& x) override { return leaky_relu(x, 0.5); }
  Var inverse(const Var& y) override { return leaky_relu(y, 2); }

 private:
  std::shared_ptr<Module> copy() const override { return std::make_shared<Leaky>(*this); }
};

/// Runs an invertible module as `run` says, and rewinds as any module does by default.
class Container final : public InvertibleModule {
 public:
  using Run = std::function<Var(const std::shared_ptr<InvertibleModule>&, const Var&)>;
  Container(std::shared_ptr<InvertibleModule> inner, Run run)
      : inner_(std::move(inner)), run_(std::move(run)) {}
  Var forward(const Var& x) override {
    const ModuleScope scope(*inner_);
    return run_(inner_, x);
  }
  Var inverse(const Var& y) override {
    const ModuleScope scope(*inner_);
    return inner_->inverse(y);
  }
  void members(Members& m) override { m.module("inner", inner_); }

 private:
  std::shared_ptr<Module> copy() const override { return std::make_shared<Container>(*this); }
  std::shared_ptr<InvertibleModule> inner_;
  Run run_;
};

const Shape kShape{2, 4, 6, 6};
constexpr std::int64_t kElements = 2 * 2 * 6 * 6;  // of a stream

std::shared_ptr<Module> branch(const Function& activation) {
  auto conv = std::make_shared<Conv2d>(2, 2, Conv2dLayerOptions{.kernel = 3, .padding = 1});
  auto module = std::make_shared<Sequential>(std::make_shared<Activation>(activation), conv);
  module->to(DType::f64);
  return module;
}

std::shared_ptr<InvertibleModule> coupling(const Function& activation, const CouplingOptions& options = {}) {
  return std::make_shared<AdditiveCoupling>(branch(activation), branch(activation), options);
}

using Modules = std::vector<std::shared_ptr<InvertibleModule>>;

/// The first coupling decides, in either direction; the one between them makes numbers whose sums round.
std::shared_ptr<InvertibleSequence> couplings(const Function& activation, const Function& last) {
  return std::make_shared<InvertibleSequence>(
      Modules{coupling(activation), coupling([](const Var& x) { return tanh(x); }), coupling(last)});
}

std::shared_ptr<InvertibleSequence> couplings(const Function& activation) {
  return couplings(activation, activation);
}

struct Step {
  std::vector<Tensor> gradients;  // of the parameters, then of x
  DecisionCounts decisions{};
};

/// A step from zeros, as behind a convolution that starts at zero: every decision of the first F is at its
/// edge.
Step step(const std::shared_ptr<InvertibleModule>& module, const WrapperOptions& options,
          bool inverse = false) {
  manual_seed(5);
  module->zero_grad();
  const DecisionCounter counter;
  InvertibleModuleWrapper wrapper(module, options);
  Tape tape;
  const Var x = tape.watch(Tensor::zeros(kShape, DType::f64));
  const Var y = inverse ? wrapper.inverse(x) : wrapper.forward(x);
  const Var loss = sum(y * Var(uniform(kShape, 2)));
  for (int pass = 1; pass < options.num_bwd_passes; ++pass) {
    tape.backward(loss, {.retain = true});
    module->zero_grad();
    tape.take_grad(x);
  }
  tape.backward(loss);
  Step result;
  for (const auto& [name, gradient] : gradients(*module))
    result.gradients.push_back(gradient.clone(Tag::data));
  result.gradients.push_back(tape.grad(x));
  result.decisions = counter.counts();
  return result;
}

/// In roundings of the largest number of each gradient, or of all of them for one that is 0: x is 0, and what
/// is rebuilt in its place is not.
double largest_error(const Step& got, const Step& wanted) {
  REQUIRE(got.gradients.size() == wanted.gradients.size());
  const auto largest = [](const Tensor& x) { return kernel::magnitudes(x).largest; };
  double scale = 0;
  for (const Tensor& gradient : wanted.gradients) scale = std::max(scale, largest(gradient));
  double error = 0;
  for (std::size_t i = 0; i < wanted.gradients.size(); ++i)
    error = std::max(error, largest(wanted.gradients[i]) > 0
                                ? roundings(got.gradients[i], wanted.gradients[i])
                                : largest(got.gradients[i]) / (scale * unit_roundoff(DType::f64)));
  return error;
}

// A decision that flips changes a hundredth of a gradient and more.
constexpr double kFlipped = 1e-2 / 0x1p-53;

Var pooled(const Var& x) { return max_pool2d(x, {.kernel = 3, .stride = 1, .padding = 1}); }

const std::vector<std::pair<std::string, Function>>& activations() {
  static const std::vector<std::pair<std::string, Function>> all = {
      {"relu", [](const Var& x) { return relu(x); }},
      {"leaky_relu", [](const Var& x) { return leaky_relu(x, 0.1); }},
      {"clamp", [](const Var& x) { return clamp(x, 0, 1); }},
      {"abs", [](const Var& x) { return abs(x); }},
      {"max_pool2d", pooled}};
  return all;
}

Function the_relu() { return activations().front().second; }

}  // namespace

TEST_CASE("with kept masks, decisions of F and G are forward's, in both directions", "[decisions]") {
  for (const auto& [name, activation] : activations()) {
    for (const bool inverse : {false, true}) {
      INFO(name << (inverse ? ", inverse" : ""));
      const auto module = couplings(activation);
      const Step stored = step(module, {.disable = true}, inverse);
      const Step kept = step(module, {.keep_masks = true}, inverse);
      CHECK(largest_error(kept, stored) <= kRebuilt);
      CHECK(kept.decisions.compared == 4 * kElements);
      CHECK(kept.decisions.flipped > 0);
      const Step rebuilt = step(module, {}, inverse);
      CHECK(largest_error(rebuilt, stored) > kFlipped);
      CHECK(rebuilt.decisions.compared == 0);
    }
  }
}

TEST_CASE("with kept masks, batch norm + ReLU decides as in forward", "[decisions]") {
  const auto norm = std::make_shared<BatchNorm2d>(2);
  norm->to(DType::f64);
  const auto module = couplings([norm](const Var& x) { return norm->then_relu(x); }, the_relu());
  const Step stored = step(module, {.disable = true});
  const Step kept = step(module, {.keep_masks = true});
  // Batch norm divides by the deviation, here sqrt(eps) = 1 / 316, in each of the four halves.
  CHECK(largest_error(kept, stored) <= 4 * 316 * kRebuilt);
  CHECK(kept.decisions.compared == 4 * kElements);
  CHECK(kept.decisions.flipped > 0);
  CHECK(largest_error(step(module, {}), stored) > kFlipped);
}

TEST_CASE("kept masks serve several backward passes", "[decisions]") {
  const auto module = couplings(the_relu());
  const Step stored = step(module, {.disable = true});
  const Step kept = step(module, {.num_bwd_passes = 3, .keep_masks = true});
  CHECK(largest_error(kept, stored) <= kRebuilt);
  CHECK(kept.decisions.compared == 3 * 4 * kElements);
}

TEST_CASE("kept masks reach what runs inside of a module with the default rewind", "[decisions]") {
  const std::vector<std::pair<std::string, Container::Run>> ways = {
      {"plain", [](const auto& inner, const Var& x) { return inner->forward(x); }},
      {"wrapped", [](const auto& inner, const Var& x) { return InvertibleModuleWrapper(inner).forward(x); }},
      {"wrapped, with masks of its own",
       [](const auto& inner, const Var& x) {
         return InvertibleModuleWrapper(inner, {.keep_masks = true}).forward(x);
       }},
      {"checkpointed", [](const auto& inner, const Var& x) { return checkpoint(inner, x); }}};
  for (const auto& [name, way] : ways) {
    INFO(name);
    const auto inner = couplings(the_relu());
    const auto module = std::make_shared<Container>(inner, way);
    const Step stored = step(std::make_shared<Container>(inner, ways.front().second), {.disable = true});
    const Step kept = step(module, {.keep_masks = true});
    CHECK(largest_error(kept, stored) <= kRebuilt);
    CHECK(kept.decisions.flipped > 0);
  }
  for (const int implementation : {-1, 0, 1}) {
    const CouplingOptions options{.implementation_fwd = implementation};
    const auto inner = std::make_shared<Container>(
        coupling(the_relu(), options), [](const auto& block, const Var& x) { return block->forward(x); });
    const auto module = std::make_shared<InvertibleSequence>(Modules{inner, coupling(the_relu())});
    const Step stored = step(module, {.disable = true});
    CHECK(largest_error(step(module, {.keep_masks = true}), stored) <= kRebuilt);
  }
}

TEST_CASE("a replay that draws other random numbers keeps the masks, too", "[decisions]") {
  const auto module = couplings(the_relu());
  const Step stored = step(module, {.disable = true});
  const Step kept = step(module, {.preserve_rng_state = false, .keep_masks = true});
  CHECK(largest_error(kept, stored) <= kRebuilt);
  CHECK(kept.decisions.compared == 4 * kElements);
}

TEST_CASE("kept masks of an inverse that decides, too", "[decisions]") {
  const auto module = std::make_shared<InvertibleSequence>(
      Modules{std::make_shared<Leaky>(), coupling(the_relu()), coupling(the_relu())});
  for (const bool inverse : {false, true}) {
    const Step stored = step(module, {.disable = true}, inverse);
    CHECK(largest_error(step(module, {.keep_masks = true}, inverse), stored) <= kRebuilt);
  }
}

TEST_CASE("decisions are not kept where inputs are", "[decisions]") {
  const auto module = couplings(the_relu());
  const Step stored = step(module, {.disable = true});
  const Step kept = step(module, {.keep_input = true, .keep_masks = true});
  CHECK(largest_error(kept, stored) == 0);
  CHECK(kept.decisions.compared == 0);
}

namespace {

struct Bytes {
  std::int64_t after_forward = 0;  // of Tag::saved
  std::int64_t peak = 0;           // of all that counts in a step
  std::int64_t on_tape = 0;        // what the tape says that its nodes keep
};

Bytes measure(const Function& activation, int depth, bool keep_masks) {
  Modules blocks;
  for (int b = 0; b < depth; ++b) blocks.push_back(coupling(activation));
  const auto module = std::make_shared<InvertibleSequence>(std::move(blocks));
  const Counter saved(Tag::saved);
  const Counter all(kStepTags);
  Bytes bytes;
  {
    Tape tape;
    const Var x = tanh(tape.watch(uniform(kShape, 1)));
    const Var y = InvertibleModuleWrapper(module, {.keep_masks = keep_masks})(x);
    bytes.after_forward = saved.live();
    bytes.on_tape = tape.saved_bytes();
    tape.backward(sum(y));
  }
  CHECK(saved.live() == 0);
  bytes.peak = all.peak();
  return bytes;
}

}  // namespace

TEST_CASE("kept masks cost one bit per element, two for abs, an index for max pooling: to the byte",
          "[decisions][memory]") {
  const auto block = [](std::int64_t bytes) { return (bytes + 63) / 64 * 64; };
  for (const auto& [name, activation] : activations()) {
    INFO(name);
    const std::int64_t mask = kElements / 8;
    const std::int64_t exact = name == "abs" ? 2 * mask : name == "max_pool2d" ? 4 * kElements : mask;
    std::int64_t before = 0;
    for (const int depth : {1, 2, 3}) {
      CHECK(measure(activation, depth, false).after_forward == 0);
      const Bytes kept = measure(activation, depth, true);
      CHECK(kept.after_forward == 2 * depth * block(exact));
      CHECK(kept.on_tape == measure(activation, depth, false).on_tape + 2 * depth * exact);
      if (depth > 1) CHECK(kept.peak - before == 2 * block(exact));
      before = kept.peak;
    }
  }
}

TEST_CASE("policy reversible-masks keeps the masks of a network's couplings", "[decisions][networks]") {
  const auto run = [](Policy policy) {
    manual_seed(1);
    ResidualNetwork network(network_options("tiny"));
    network.set_policy(policy);
    const DecisionCounter counter;
    Tape tape;
    tape.backward(mean(network(Var(uniform({2, 3, 16, 16}, 1, DType::f32)))));
    return counter.counts().compared;
  };
  CHECK(run(Policy::reversible) == 0);
  // One coupling in each of three stages (two in the first), each of F and G with two masks, the first block
  // of the network with one: [2, 4, 16, 16], [2, 8, 8, 8], [2, 16, 4, 4].
  CHECK(run(Policy::reversible_masks) == 2 * (1 + 2) * 2048 + 2 * 2 * 1024 + 2 * 2 * 512);
}

TEST_CASE("a kept mask that was written is an error", "[decisions]") {
  DecisionLog log;
  const ScopeSnapshot here = scope_snapshot();
  {
    const RecordDecisions recording(log);
    relu(Var(uniform({4}, 1)));
  }
  REQUIRE(log.saved().size() == 1);
  log.saved().front().tensor.mutable_data<std::uint8_t>()[0] = 0;
  const Reenter again(here);
  const ReplayDecisions replaying(log);
  Tape tape;
  CHECK_THROWS_AS(relu(tape.watch(uniform({4}, 1))), GradientError);
}
