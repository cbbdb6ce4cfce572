#include <retrace/nn/optimizer.h>
#include <retrace/revnet/sequence.h>
#include <retrace/revnet/wrapper.h>

#include <string>

#include "../support/catch.h"
#include "modules.h"

using namespace retrace;
using namespace retrace::test;

namespace {

struct Step {
  Tensor y;
  Tensor dx;
  std::vector<Named<Tensor>> gradients;
};

/// One forward and backward of tanh, the module (or its inverse), and a loss that weighs its outputs
/// unevenly.
Step step(InvertibleModule& module, const Tensor& x, bool inverse = false) {
  manual_seed(5);
  module.zero_grad();
  Tape tape;
  const Var leaf = tape.watch(x.clone(Tag::data));
  const Var h = tanh(leaf);
  const Var y = inverse ? module.inverse(h) : module.forward(h);
  tape.backward(sum(y * y));
  return {y.value(), tape.grad(leaf), gradients(module)};
}

void check_equal(const Step& a, const Step& b, double allowed) {
  CHECK(roundings(a.y, b.y) <= allowed);
  CHECK(roundings(a.dx, b.dx) <= allowed);
  REQUIRE(a.gradients.size() == b.gradients.size());
  for (std::size_t i = 0; i < a.gradients.size(); ++i)
    CHECK(roundings(a.gradients[i].second, b.gradients[i].second) <= allowed);
}

}  // namespace

TEST_CASE("a wrapped module trains as the plain one, in both directions", "[wrapper]") {
  const Tensor x = uniform({3, 4}, 1);
  for (const Kind kind : kKinds) {
    for (const double dropout : {0.0, 0.5}) {
      const auto module = make_invertible(kind, dropout);
      for (const bool inverse : {false, true}) {
        const Step plain = step(*module, x, inverse);
        for (const bool keep : {false, true}) {
          InvertibleModuleWrapper wrapper(module, {.keep_input = keep, .keep_input_inverse = keep});
          check_equal(step(wrapper, x, inverse), plain, keep ? 0 : kRebuilt);
        }
      }
    }
  }
}

TEST_CASE("an input is released exactly when it is not kept, and comes back in backward", "[wrapper]") {
  for (const Kind kind : kKinds) {
    for (const bool inverse : {false, true}) {
      for (const bool keep_input : {false, true}) {
        for (const bool keep_input_inverse : {false, true}) {
          InvertibleModuleWrapper wrapper(
              make_invertible(kind), {.keep_input = keep_input, .keep_input_inverse = keep_input_inverse});
          Tape tape;
          const Var x = tape.watch(uniform({3, 4}, 1));
          const Var y = inverse ? wrapper.inverse(x) : wrapper.forward(x);
          CHECK(x.value().storage().released() == !(inverse ? keep_input_inverse : keep_input));
          tape.backward(sum(y));
          CHECK(roundings(x.value(), uniform({3, 4}, 1)) <= kRebuilt);
        }
      }
    }
  }
}

TEST_CASE("reading a released input says who released it and what to do", "[wrapper]") {
  const Scope scope("stage1");
  InvertibleModuleWrapper wrapper(make_invertible(Kind::additive));
  Var kept;
  {
    Tape tape;
    const Var x = tape.watch(uniform({3, 4}, 1));
    kept = x;
    const Var y = wrapper(x);
    CHECK_THROWS_WITH(
        x + y,
        "[storage] a tensor that is read must hold its bytes, but stage1 released them; they come back "
        "during backward, or set keep_input (for inverse, keep_input_inverse) to keep them");
  }
  CHECK_THROWS_WITH(kept.value().data<double>(),
                    "[storage] a tensor that is read must hold its bytes, but stage1 released them; they "
                    "will not come back, because "
                    "their tape ended without a backward");
}

TEST_CASE("what must not be released is not", "[wrapper]") {
  InvertibleModuleWrapper wrapper(make_invertible(Kind::additive));
  const Tensor batch = uniform({3, 4}, 1);
  Parameter parameter(uniform({3, 4}, 2));
  Tape tape;
  SECTION("a constant") {
    wrapper(Var(batch));
    CHECK_FALSE(batch.storage().released());
  }
  SECTION("a parameter, and a view of it") {
    wrapper(Var(parameter));
    wrapper(reshape(Var(parameter), {3, 4}));
    CHECK_FALSE(parameter.value().storage().released());
  }
  SECTION("a tensor of which a part is another tensor") {
    const Var x = tape.watch(batch) * 1.0;
    const Tensor row = x.value().slice(0, 1);
    wrapper(x);
    CHECK_FALSE(x.value().storage().released());
  }
  SECTION("a part of a larger tensor") {
    const Var x = tape.watch(batch.slice(0, 2));
    wrapper(x);
    CHECK_FALSE(batch.storage().released());
  }
  SECTION("bytes that an output shares") {
    InvertibleModuleWrapper identity(std::make_shared<Identity>());
    const Var x = tape.watch(batch);
    const Var y = identity(x);
    CHECK_FALSE(batch.storage().released());
    tape.backward(sum(y * y));
    CHECK(roundings(tape.grad(x), (Var(batch) * 2.0).value()) == 0);
  }
  SECTION("anything without a tape") {
    const NoTape no_tape;
    const Var y = wrapper(Var(batch));
    wrapper.inverse(y);
    CHECK_FALSE(batch.storage().released());
    CHECK_FALSE(y.value().storage().released());
  }
  SECTION("anything when disabled") {
    wrapper.options().disable = true;
    const Var x = tape.watch(batch);
    const Var y = wrapper(x);
    CHECK_FALSE(batch.storage().released());
    CHECK(tape.size() > 1);
  }
}

TEST_CASE("an input that was saved in front, or read before, gives right gradients", "[wrapper]") {
  const Tensor x = uniform({3, 4}, 1);
  const auto run = [&](bool disable) {
    InvertibleModuleWrapper wrapper(make_invertible(Kind::additive), {.disable = disable});
    manual_seed(3);
    for (Parameter* p : wrapper.parameters()) kernel::uniform(next_stream(), -1, 1, p->value());
    Tape tape;
    const Var leaf = tape.watch(x.clone(Tag::data));
    const Var h = relu(leaf + -0.5);  // zeros that come back as +-1e-17
    const Var skip = h * h;           // saves h before it is released
    tape.backward(sum(wrapper(h) * skip));
    return tape.grad(leaf);
  };
  CHECK(roundings(run(false), run(true)) <= kRebuilt);
}

TEST_CASE("a released input comes back even when no gradient reaches the wrapper", "[wrapper]") {
  InvertibleModuleWrapper wrapper(make_invertible(Kind::affine_naive));
  Tape tape;
  const Var x = tape.watch(uniform({3, 4}, 1));
  const Var h = tanh(x);
  const Var loss = sum(h * h);
  wrapper(h);
  CHECK(h.value().storage().released());
  tape.backward(loss);
  const Tensor expected = [] {
    Tape plain;
    const Var v = plain.watch(uniform({3, 4}, 1));
    const Var t = tanh(v);
    plain.backward(sum(t * t));
    return plain.grad(v);
  }();
  CHECK(roundings(tape.grad(x), expected) <= kRebuilt);
  for (const auto& [name, gradient] : gradients(wrapper)) CHECK_FALSE(gradient.defined());
}

TEST_CASE("chained wrappers hand the bytes back from one to the next", "[wrapper]") {
  const Tensor x = uniform({3, 4}, 1);
  for (const Kind kind : kKinds) {
    InvertibleModuleWrapper first(make_invertible(kind));
    InvertibleModuleWrapper second(make_invertible(kind));
    const auto run = [&](bool disable) {
      first.options().disable = second.options().disable = disable;
      first.zero_grad();
      Tape tape;
      const Var leaf = tape.watch(x.clone(Tag::data));
      tape.backward(sum(second(first(leaf * 1.0))));
      return std::pair(tape.grad(leaf), gradients(first));
    };
    const auto plain = run(true);
    const auto wrapped = run(false);
    CHECK(roundings(wrapped.first, plain.first) <= kRebuilt);
    for (std::size_t i = 0; i < plain.second.size(); ++i)
      CHECK(roundings(wrapped.second[i].second, plain.second[i].second) <= kRebuilt);
  }
}

TEST_CASE("a change between forward and backward is an error that names it", "[wrapper]") {
  InvertibleModuleWrapper wrapper(make_invertible(Kind::additive));
  Tape tape;
  const Var y = sum(wrapper(tape.watch(uniform({3, 4}, 1))));
  SECTION("of a parameter") {
    wrapper.named_parameters()[1].second->value().mutable_data<double>()[0] += 1;
    CHECK_THROWS_WITH(
        tape.backward(y),
        "[InvertibleModuleWrapper] parameters, buffers and train/eval mode must be in backward as "
        "forward left them, but F.linear.bias changed");
  }
  SECTION("of the mode") {
    wrapper.eval();
    CHECK_THROWS_WITH(
        tape.backward(y),
        "[InvertibleModuleWrapper] parameters, buffers and train/eval mode must be in backward as "
        "forward left them, but mode changed");
  }
}

TEST_CASE("an exception in backward leaves the module and the ledger usable", "[wrapper]") {
  const auto module = make_invertible(Kind::additive);
  InvertibleModuleWrapper wrapper(module);
  const std::int64_t before = ledger().live(kStepTags);
  Var h;
  {
    Tape tape;
    const Var x = tape.watch(uniform({3, 4}, 1));
    h = tanh(x);
    const Var y = sum(wrapper(h));
    wrapper.eval();
    CHECK_THROWS_AS(tape.backward(y), GradientError);
  }
  CHECK_THROWS_WITH(h.value().data<double>(),
                    "[storage] a tensor that is read must hold its bytes, but InvertibleModuleWrapper "
                    "released them; they will not "
                    "come back, because backward failed in InvertibleModuleWrapper");
  h = Var();
  CHECK(ledger().live(kStepTags) == before);
  wrapper.train();
  const Tensor x = uniform({3, 4}, 1);
  check_equal(step(wrapper, x), step(*module, x), kRebuilt);
}

namespace {

/// (x) -> (x1 + x2, x2) on halves, and back: one input, two outputs.
class Fork final : public InvertibleModule {
 public:
  Vars forward_all(const Vars& x) override {
    const Vars halves = split(x.front(), {2, 2}, 1);
    return {halves[0] + halves[1], halves[1]};
  }
  Vars inverse_all(const Vars& y) override { return {concatenate({y[0] - y[1], y[1]}, 1)}; }

 private:
  std::shared_ptr<Module> copy() const override { return std::make_shared<Fork>(*this); }
};

}  // namespace

TEST_CASE("modules with several inputs and outputs", "[wrapper]") {
  const Tensor x = uniform({3, 4}, 1);
  const auto run = [&](bool disable) {
    InvertibleModuleWrapper fork(std::make_shared<Fork>(), {.disable = disable});
    InvertibleModuleWrapper join(std::make_shared<Inverse>(std::make_shared<Fork>()), {.disable = disable});
    Tape tape;
    const Var leaf = tape.watch(x.clone(Tag::data));
    const Vars y = fork(Vars{tanh(leaf)});
    const Vars z = join(Vars{y[0] * 2.0, tanh(y[1])});
    tape.backward(sum(z.front() * z.front()));
    return tape.grad(leaf);
  };
  CHECK(roundings(run(false), run(true)) <= kRebuilt);
}

TEST_CASE("one coupling in several wrappers", "[wrapper]") {
  auto layer = std::make_shared<Layer>(2, 2);
  const auto coupling = std::make_shared<AdditiveCoupling>(layer, layer);
  CHECK(coupling->parameters().size() == 2);
  const auto run = [&](bool disable) {
    coupling->zero_grad();
    Tape tape;
    Var y = tape.watch(uniform({3, 4}, 1));
    std::vector<std::shared_ptr<InvertibleModuleWrapper>> wrappers;
    for (int i = 0; i < 5; ++i) {
      wrappers.push_back(
          std::make_shared<InvertibleModuleWrapper>(coupling, WrapperOptions{.disable = disable}));
      y = (*wrappers.back())(y);
    }
    tape.backward(sum(y));
    return gradients(*coupling);
  };
  const auto wrapped = run(false);
  const auto plain = run(true);
  for (std::size_t i = 0; i < plain.size(); ++i)
    CHECK(roundings(wrapped[i].second, plain[i].second) <= kRebuilt);
}

TEST_CASE("a wrapper needs a module", "[wrapper]") {
  CHECK_THROWS_WITH(InvertibleModuleWrapper(std::shared_ptr<AdditiveCoupling>()),
                    "[InvertibleModuleWrapper] fn must be a module, got an empty pointer");
}

TEST_CASE("a module that lacks its inverse says so", "[wrapper]") {
  class OneWay final : public InvertibleModule {
    std::shared_ptr<Module> copy() const override { return std::make_shared<OneWay>(*this); }
  };
  OneWay one_way;
  const Var y = uniform({3, 4}, 1);
  CHECK_THROWS_WITH(one_way.inverse(y),
                    "[inverse] a module that overrides inverse_all is inverted with a list, as "
                    "inverse_all({y1, y2}); one that takes one tensor must override inverse");
  CHECK_THROWS_WITH(one_way.inverse_all({y, y}), "[inverse] this module's inverse takes 1 input, got 2");
}

TEST_CASE("a rewind that brings back too few or too many tensors is an error", "[wrapper]") {
  /// y_i = 2 x_i, whose rewind has other numbers of inputs and gradients.
  class Miscounting final : public InvertibleModule {
   public:
    Miscounting(std::size_t inputs, std::size_t gradients) : inputs_(inputs), gradients_(gradients) {}
    Vars forward_all(const Vars& x) override { return {x[0] * 2, x[1] * 2}; }
    Vars inverse_all(const Vars& y) override { return {y[0] / 2, y[1] / 2}; }
    Rewound rewind(Tensors y, Tensors dy) override {
      Rewound back = InvertibleModule::rewind(std::move(y), std::move(dy));
      back.x.resize(inputs_, back.x.front());
      back.dx.resize(gradients_, back.dx.front());
      return back;
    }

   private:
    std::shared_ptr<Module> copy() const override { return std::make_shared<Miscounting>(*this); }
    std::size_t inputs_;
    std::size_t gradients_;
  };
  /// As above, whose forward has more outputs in a replay.
  class Growing final : public InvertibleModule {
   public:
    Vars forward_all(const Vars& x) override {
      return Recomputing::active() ? Vars{x[0] * 2, x[1] * 2, x[0]} : Vars{x[0] * 2, x[1] * 2};
    }
    Vars inverse_all(const Vars& y) override { return {y[0] / 2, y[1] / 2}; }

   private:
    std::shared_ptr<Module> copy() const override { return std::make_shared<Growing>(*this); }
  };
  const auto run = [](const std::shared_ptr<InvertibleModule>& module) {
    Tape tape;
    const Var x1 = tanh(tape.watch(uniform({3}, 1)));
    const Var x2 = tanh(tape.watch(uniform({3}, 2)));
    const Vars y = InvertibleModuleWrapper(module)(Vars{x1, x2});
    tape.backward(sum(y[0] * y[1]));
  };
  const auto in_sequence = [](std::size_t inputs, std::size_t gradients) {
    return std::make_shared<InvertibleSequence>(std::vector<std::shared_ptr<InvertibleModule>>{
        std::make_shared<Miscounting>(2, 2), std::make_shared<Miscounting>(inputs, gradients)});
  };
  run(in_sequence(2, 2));
  for (const auto& [inputs, gradients] : {std::pair(2, 1), {2, 3}, {1, 2}, {3, 2}, {0, 2}}) {
    const std::string text = "a rewind must bring back one gradient for each input, got " +
                             std::to_string(gradients) + " for " + std::to_string(inputs);
    CHECK_THROWS_AS(run(std::make_shared<Miscounting>(inputs, gradients)), GradientError);
    CHECK_THROWS_WITH(run(std::make_shared<Miscounting>(inputs, gradients)),
                      "[InvertibleModuleWrapper] " + text);
    CHECK_THROWS_WITH(run(in_sequence(inputs, gradients)), "[InvertibleSequence] " + text);
  }
  for (const std::size_t count : {1, 3}) {
    const auto module = std::make_shared<Miscounting>(count, count);
    CHECK_THROWS_AS(run(module), InvertibilityError);
    CHECK_THROWS_WITH(
        run(module),
        "[InvertibleModuleWrapper] 2 inputs of forward must be computed back, got " + std::to_string(count));
  }
  CHECK_THROWS_AS(run(std::make_shared<Growing>()), GradientError);
  CHECK_THROWS_WITH(run(std::make_shared<Growing>()),
                    "[replay] a module must have as many outputs as in forward, got 3 for 2");
}
