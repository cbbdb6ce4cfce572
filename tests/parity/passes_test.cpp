// Several passes through one forward, and modules with several inputs and outputs.
#include <retrace/nn/optimizer.h>
#include <retrace/revnet/is_invertible.h>
#include <retrace/revnet/wrapper.h>

#include "../support/catch.h"
#include "../support/random_tensor.h"
#include "../support/throws.h"
#include "modules.h"

using namespace retrace;
using namespace retrace::test;

namespace {

const Shape kShape{2, 10, 8, 8};

/// Five wrappers around one additive coupling whose F and G are one module, begun anew with the same numbers.
struct Shared {
  explicit Shared(const WrapperOptions& options) : Shared(make_coupling(), options) {}
  Shared(const std::shared_ptr<InvertibleModule>& coupling, const WrapperOptions& options)
      : coupling(coupling), stack(coupling, 5, options) {}
  static std::shared_ptr<InvertibleModule> make_coupling() {
    manual_seed(42);
    const auto F = conv_norm();
    return std::make_shared<AdditiveCoupling>(F, F);
  }
  Var there(const Var& x, bool inverse) const { return inverse ? stack.inverse(x) : stack.forward(x); }

  std::shared_ptr<InvertibleModule> coupling;
  Stack stack;
};

/// y = f(x), then three times back from y, each branch with a leaf of its own; backward through the first
/// branch, then through the second. Returns y and all gradients of both passes.
Tensors two_passes(bool inverse, const WrapperOptions& options) {
  const Shared shared(options);
  SGD optimizer(shared.coupling->parameters(), {.lr = 0.01});
  const Tensor data = uniform(kShape, 42);
  const Tensor target = uniform(kShape, 43);
  Tape tape;
  const Var x = tape.watch(data.clone(Tag::data));
  const Var y = shared.there(x, inverse);
  Vars leaves;
  Vars back;
  for (int branch = 0; branch < 3; ++branch) {
    leaves.push_back(tape.watch(Tensor::zeros(kShape, DType::f32)));
    back.push_back(shared.there(y, !inverse) + leaves.back());
    CHECK(all_close(back.back().value(), data, 1e-5, 1e-4));
  }
  const auto differentiated = [&](const Var& leaf) { return tape.grad(leaf).defined(); };
  const Var loss = mse_loss(back[0], target);
  CHECK(std::isfinite(loss.value().item()));
  tape.backward(loss, {.retain = true});
  CHECK((differentiated(leaves[0]) && !differentiated(leaves[1]) && !differentiated(leaves[2])));
  Tensors result = copies_of_gradients(*shared.coupling);
  result.push_back(tape.grad(x).clone(Tag::data));

  const Var loss2 = mse_loss(back[1], target);
  CHECK(std::isfinite(loss2.value().item()));
  tape.backward(loss2, {.retain = true});
  CHECK((differentiated(leaves[1]) && !differentiated(leaves[2])));
  for (const Tensor& gradient : copies_of_gradients(*shared.coupling)) result.push_back(gradient);
  result.push_back(tape.grad(x).clone(Tag::data));
  optimizer.step();
  result.push_back(y.value().clone(Tag::data));
  return result;
}

constexpr WrapperOptions kKeepForTwo{.keep_input = true, .keep_input_inverse = true, .num_bwd_passes = 2};

}  // namespace

TEST_CASE("[P26] one coupling in five wrappers, two passes through three inverses of one output", "[P26]") {
  for (const bool inverse : {false, true}) {
    const Tensors first = two_passes(inverse, kKeepForTwo);
    const Tensors plain = two_passes(inverse, {.disable = true});
    REQUIRE(first.size() == plain.size());
    for (std::size_t i = 0; i < plain.size(); ++i) CHECK(roundings(first[i], plain[i]) <= kRebuilt);
    for (int repetition = 1; repetition < 5; ++repetition)
      CHECK(bit_equal(two_passes(inverse, kKeepForTwo).back(), first.back()));
  }
}

TEST_CASE("[P26] without the flags that keep, the second use of an output is a clear error", "[P26]") {
  for (const bool inverse : {false, true}) {
    const Shared shared({.num_bwd_passes = 2});
    Tape tape;
    const Var y = shared.there(tape.watch(uniform(kShape, 42)), inverse);
    CHECK(all_close(shared.there(y, !inverse).value(), uniform(kShape, 42), 1e-5, 1e-4));
    check_throws<ReleasedError>([&] { shared.there(y, !inverse); },
                                "[storage] a tensor that is read must hold its bytes, but "
                                "InvertibleModuleWrapper released them; they come back during backward, or "
                                "set keep_input (for inverse, keep_input_inverse) to keep them");
  }
}

TEST_CASE("[P27] one backward more than num_bwd_passes is an error that names the option and the count",
          "[P27]") {
  for (const int passes : {1, 2, 3}) {
    for (const bool keep : {false, true}) {
      manual_seed(passes);
      InvertibleModuleWrapper wrapper(make_pair_of(Pair::additive, conv_norm()),
                                      {.keep_input = keep, .num_bwd_passes = passes});
      Tape tape;
      const Var x = tape.watch(uniform(kShape, 1));
      const Var h = tanh(x);
      const Var loss = mean(wrapper.forward(h));
      Tensor once;
      for (int pass = 1; pass <= passes; ++pass) {
        tape.backward(loss, {.retain = true});
        CHECK_FALSE(h.value().storage().released());
        if (pass == 1) once = tape.grad(x).clone(Tag::data);
        CHECK(roundings(tape.grad(x), (Var(once) * static_cast<double>(pass)).value()) <= kRebuilt);
      }
      CHECK_THROWS_WITH(tape.backward(loss, {.retain = true}),
                        "[InvertibleModuleWrapper] backward may run num_bwd_passes = " +
                            std::to_string(passes) + " times through one forward, got one more");
    }
  }
}

TEST_CASE("[P27] num_bwd_passes below 1 is an error", "[P27]") {
  check_throws<ArgumentError>(
      [&] { const InvertibleModuleWrapper wrapper(std::make_shared<Factor>(2), {.num_bwd_passes = 0}); },
      "[InvertibleModuleWrapper] num_bwd_passes must be at least 1, got 0");
}

TEST_CASE("[P28] a module with two outputs and one with two inputs around ordinary convolutions", "[P28]") {
  const auto fork = std::make_shared<SplitChannels>(2);
  const auto join = std::make_shared<Inverse>(std::make_shared<SplitChannels>(2));
  CHECK(is_invertible_module(InvertibleModuleWrapper(fork), Shape{1, 3, 32, 32}));
  CHECK(is_invertible_module(InvertibleModuleWrapper(join), {Shape{1, 2, 32, 32}, Shape{1, 1, 32, 32}}));

  manual_seed(42);
  Conv2d conv_a(2, 2, {.kernel = 3});
  Conv2d conv_b(1, 1, {.kernel = 3});
  const auto run = [&](bool disable) {
    InvertibleModuleWrapper split(fork, {.disable = disable});
    InvertibleModuleWrapper concat(join, {.disable = disable});
    conv_a.zero_grad();
    conv_b.zero_grad();
    Tape tape;
    const Var x = tape.watch(uniform({1, 3, 32, 32}, 42));
    const Vars parts = split(Vars{x});
    CHECK(x.value().storage().released() == !disable);
    const Var y = concat(Vars{conv_a(parts[0]), conv_b(parts[1])}).front();
    CHECK(y.shape() == Shape{1, 3, 30, 30});
    tape.backward(sum(y));
    CHECK(bit_equal(x.value(), uniform({1, 3, 32, 32}, 42)));
    return Tensors{tape.grad(x), conv_a.weight().grad().clone(Tag::data),
                   conv_b.weight().grad().clone(Tag::data)};
  };
  const Tensors plain = run(true);
  const Tensors wrapped = run(false);
  for (std::size_t i = 0; i < plain.size(); ++i) CHECK(bit_equal(wrapped[i], plain[i]));
}
