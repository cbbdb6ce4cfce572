#include <retrace/revnet/combinators.h>

#include "../support/catch.h"
#include "modules.h"

using namespace retrace;
using namespace retrace::test;

namespace {

using Modules = std::vector<std::shared_ptr<InvertibleModule>>;

std::shared_ptr<InvertibleModule> coupling(std::int64_t half, double dropout = 0) {
  return std::make_shared<AdditiveCoupling>(std::make_shared<Layer>(half, half, dropout),
                                            std::make_shared<Layer>(half, half, dropout));
}

std::shared_ptr<InvertibleSequence> run_of(std::int64_t half, int depth) {
  Modules blocks;
  for (int b = 0; b < depth; ++b) blocks.push_back(coupling(half));
  return std::make_shared<InvertibleSequence>(std::move(blocks));
}

struct Step {
  Tensor y;
  Tensors gradients;  // dx the last
};

Step step(const std::shared_ptr<InvertibleModule>& module, const WrapperOptions& options, bool inverse,
          const Tensor& data) {
  manual_seed(4);
  module->zero_grad();
  InvertibleModuleWrapper wrapper(module, options);
  Tape tape;
  const Var x = tape.watch(data.clone(Tag::data));
  const Var h = tanh(x);
  const Var y = inverse ? wrapper.inverse(h) : wrapper.forward(h);
  tape.backward(sum(square(y)));
  Step found{.y = y.value(), .gradients = {}};
  for (const auto& [name, gradient] : gradients(*module))
    if (gradient.defined()) found.gradients.push_back(gradient.clone(Tag::data));
  found.gradients.push_back(tape.grad(x));
  return found;
}

void check_as_stored(const std::shared_ptr<InvertibleModule>& module, const Tensor& data) {
  for (const bool inverse : {false, true}) {
    const Step stored = step(module, {.disable = true}, inverse, data);
    for (const WrapperOptions& options :
         {WrapperOptions{}, WrapperOptions{.keep_input = true, .keep_input_inverse = true},
          WrapperOptions{.keep_masks = true}}) {
      const Step wrapped = step(module, options, inverse, data);
      CHECK(wrapped.y.to_vector<double>() == stored.y.to_vector<double>());
      REQUIRE(wrapped.gradients.size() == stored.gradients.size());
      for (std::size_t i = 0; i < stored.gradients.size(); ++i)
        CHECK(roundings(wrapped.gradients[i], stored.gradients[i]) <= kRebuilt);
    }
  }
}

/// (x1, x2) -> fn(x1, x2) on the halves of one tensor.
class OnHalves final : public InvertibleModule {
 public:
  explicit OnHalves(std::shared_ptr<InvertibleModule> fn) : fn_(std::move(fn)) {}
  Var forward(const Var& x) override { return concatenate(fn_->forward_all(split(x, 2, 1)), 1); }
  Var inverse(const Var& y) override { return concatenate(fn_->inverse_all(split(y, 2, 1)), 1); }
  void members(Members& m) override { m.module("", fn_); }

 private:
  std::shared_ptr<Module> copy() const override { return std::make_shared<OnHalves>(*this); }
  std::shared_ptr<InvertibleModule> fn_;
};

}  // namespace

TEST_CASE("a module on a part of the channels trains as the stored one", "[combinators]") {
  const Tensor data = uniform({3, 8}, 1);
  for (const auto& [begin, end] : {std::pair(0, 4), std::pair(2, 6), std::pair(4, 8), std::pair(0, 8)}) {
    for (const double dropout : {0.0, 0.5}) {
      const auto part = std::make_shared<OnChannels>(coupling(2, dropout), begin, end);
      if (end - begin == 4) check_as_stored(part, data);
      check_as_stored(std::make_shared<OnChannels>(std::make_shared<Scaling>(1.5), begin, end, -1), data);
    }
  }
}

TEST_CASE("the other channels stay, bit for bit", "[combinators]") {
  OnChannels part(std::make_shared<Scaling>(3), 1, 3);
  const Tensor x = uniform({2, 4}, 1);
  const std::vector<double> from = x.to_vector<double>();
  const std::vector<double> to = part.forward(Var(x)).value().to_vector<double>();
  for (std::size_t i = 0; i < from.size(); ++i)
    CHECK(to[i] == (i % 4 == 1 || i % 4 == 2 ? from[i] * 3 : from[i]));
  CHECK(x.to_vector<double>() == from);
}

TEST_CASE("modules in parallel train as the stored ones", "[combinators]") {
  const auto parallel = std::make_shared<Parallel>(Modules{coupling(2, 0.5), std::make_shared<Scaling>(1.5)});
  check_as_stored(std::make_shared<OnHalves>(parallel), uniform({3, 8}, 1));
  const Tensors y = parallel->advance({uniform({3, 4}, 1), uniform({3, 4}, 2)});
  CHECK(y[1].to_vector<double>() == (Var(uniform({3, 4}, 2)) * 1.5).value().to_vector<double>());

  Tape tape;  // of which one output is not used: its input comes back all the same
  InvertibleModuleWrapper wrapper(parallel);
  const Var x1 = tape.watch(uniform({3, 4}, 1));
  const Var x2 = tape.watch(uniform({3, 4}, 2));
  tape.backward(sum(wrapper(Vars{x1, x2})[1]));
  CHECK(roundings(x1.value(), uniform({3, 4}, 1)) <= kRebuilt);
  CHECK(roundings(x2.value(), uniform({3, 4}, 2)) <= kRebuilt);
  CHECK(roundings(tape.grad(x2), Tensor::full({3, 4}, 1.5, DType::f64)) <= kRebuilt);
}

namespace {

/// A level of a U-Net as a user writes it: a run, something on half of the channels, a run; with the default
/// rewind.
class Level final : public InvertibleModule {
 public:
  Level(std::shared_ptr<InvertibleModule> before, std::shared_ptr<InvertibleModule> inside,
        std::shared_ptr<InvertibleModule> after)
      : before_(std::move(before)), inside_(std::move(inside)), after_(std::move(after)) {}
  Var forward(const Var& x) override {
    const Vars halves = split((*before_)(x), 2, 1);
    return (*after_)(concatenate({(*inside_)(halves[0]), halves[1]}, 1));
  }
  Var inverse(const Var& y) override {
    const Vars halves = split(after_->inverse(y), 2, 1);
    return before_->inverse(concatenate({inside_->inverse(halves[0]), halves[1]}, 1));
  }
  void members(Members& m) override {
    m.module("before", before_);
    m.module("inside", inside_);
    m.module("after", after_);
  }

 private:
  std::shared_ptr<Module> copy() const override { return std::make_shared<Level>(*this); }
  std::shared_ptr<InvertibleModule> before_;
  std::shared_ptr<InvertibleModule> inside_;
  std::shared_ptr<InvertibleModule> after_;
};

std::shared_ptr<InvertibleModule> combined(int depth) {
  return std::make_shared<InvertibleSequence>(
      Modules{run_of(32, depth), std::make_shared<OnChannels>(run_of(16, depth), 0, 32), run_of(32, depth)});
}

std::shared_ptr<InvertibleModule> by_hand(int depth, bool wrapped) {
  const auto run = [&](std::int64_t half) -> std::shared_ptr<InvertibleModule> {
    if (wrapped) return std::make_shared<InvertibleModuleWrapper>(run_of(half, depth));
    return run_of(half, depth);
  };
  return std::make_shared<Level>(run(32), run(16), run(32));
}

std::int64_t peak_of(const std::shared_ptr<InvertibleModule>& module, bool disable = false) {
  const Counter counter(kStepTags);
  {
    Tape tape;
    const Var x = tanh(tape.watch(uniform({16, 64}, 1)));
    tape.backward(sum(InvertibleModuleWrapper(module, {.disable = disable})(x)));
  }
  CHECK(counter.live() == 0);
  return counter.peak();
}

}  // namespace

TEST_CASE("combinators rewind through their children: the peak does not depend on depth, to the byte",
          "[combinators][memory]") {
  const std::int64_t peak = peak_of(combined(1));
  for (const int depth : {2, 4, 16}) {
    CHECK(peak_of(combined(depth)) == peak);
    CHECK(peak_of(by_hand(depth, /*wrapped=*/true)) == peak_of(by_hand(1, /*wrapped=*/true)));
    // What the header says of the default rewind: it holds what the stored run holds.
    CHECK(peak_of(by_hand(depth, /*wrapped=*/false)) > peak_of(combined(1), /*disable=*/true));
  }
}

TEST_CASE("wrong combinators are errors", "[combinators]") {
  const auto scaling = std::make_shared<Scaling>(2);
  CHECK_THROWS_WITH(OnChannels(nullptr, 0, 1), "[OnChannels] fn must be a module, got an empty pointer");
  CHECK_THROWS_WITH(OnChannels(scaling, 2, 2),
                    "[OnChannels] the channels must be a range [begin, end) from 0, got [2, 2)");
  CHECK_THROWS_WITH(OnChannels(scaling, 0, 5).forward(Var(uniform({3, 4}, 1))),
                    "[OnChannels] dimension 1 of x must exist and have at least 5 channels, got [3,4]");
  const auto pair = std::make_shared<Inverse>(std::make_shared<Scaling>(2));
  CHECK_THROWS_WITH(Parallel({}), "[Parallel] there must be at least one module, got none");
  CHECK_THROWS_WITH(Parallel({nullptr}), "[Parallel] every module must be given, got an empty pointer");
  CHECK_THROWS_WITH(Parallel({scaling}).forward_all({Var(uniform({1}, 1)), Var(uniform({1}, 2))}),
                    "[Parallel] there must be one tensor for each of 1 modules, got 2");
  class Widens final : public InvertibleModule {
   public:
    Var forward(const Var& x) override { return concatenate({x, x}, 1); }
    Var inverse(const Var& y) override { return y; }

   private:
    std::shared_ptr<Module> copy() const override { return std::make_shared<Widens>(*this); }
  };
  OnChannels widens(std::make_shared<Widens>(), 0, 2);
  CHECK_THROWS_WITH(widens.forward(Var(uniform({3, 4}, 1))),
                    "[OnChannels] fn must keep the shape [3,2] of its channels, got [3,4]");
  Tape tape;
  CHECK_THROWS_AS(widens.forward(tape.watch(uniform({3, 4}, 1))), ShapeError);
}
