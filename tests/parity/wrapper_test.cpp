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
constexpr int kSeeds = 10;

std::shared_ptr<InvertibleModule> make_module(Pair pair) {
  return make_pair_of(pair, conv_norm(5, channels_out(pair, 5)));
}

Var run(InvertibleModule& module, const Var& x, bool inverse) {
  return inverse ? module.inverse(x) : module.forward(x);
}

/// Gone, or untouched.
void check_bytes(const Var& x, bool kept, const Tensor& original) {
  CHECK(x.value().storage().released() == !kept);
  CHECK(x.shape() == original.shape());
  if (kept) CHECK(bit_equal(x.value(), original));
}

void check_same_step(const Tensors& got, const Tensors& wanted) {
  REQUIRE(got.size() == wanted.size());
  for (std::size_t i = 0; i < got.size(); ++i) CHECK(roundings(got[i], wanted[i]) <= kRebuilt);
}

}  // namespace

TEST_CASE("[P20] an input is gone exactly when its flag does not keep it, in both directions", "[P20]") {
  for (const Pair pair : kPairs) {
    for (int options = 0; options < 16; ++options) {
      const bool inverse = (options & 1) != 0;
      const WrapperOptions flags{.keep_input = (options & 2) != 0,
                                 .keep_input_inverse = (options & 4) != 0,
                                 .preserve_rng_state = (options & 8) != 0};
      manual_seed(0);
      const auto module = make_module(pair);
      for (int seed = 0; seed < kSeeds; ++seed) {
        const Tensor data = uniform(kShape, static_cast<std::uint64_t>(seed));
        CHECK(is_invertible_module(*module, kShape, {.atol = 1e-4}));
        InvertibleModuleWrapper wrapper(module, flags);
        const Tensors before = copies_of_parameters(wrapper);
        RMSprop optimizer(wrapper.parameters());
        optimizer.zero_grad();
        Tape tape;
        const Var x = tape.watch(data.clone(Tag::data));
        const Var y = run(wrapper, x, inverse);
        const Tensor result = y.value().clone(Tag::data);
        const Var again = tape.watch(result.clone(Tag::data));
        run(wrapper, again, !inverse);
        check_bytes(x, inverse ? flags.keep_input_inverse : flags.keep_input, data);
        check_bytes(again, inverse ? flags.keep_input : flags.keep_input_inverse, result);
        tape.backward(mse_loss(y, uniform(kShape, 50)));
        optimizer.step();
        CHECK_FALSE(all_close(copies_of_parameters(wrapper).front(), before.front()));
      }
    }
  }
}

namespace {

/// Forward and backward, there and back again, by a module that RMSprop trains for `steps` steps; every input
/// is back within `atol`.
void check_restored(const std::shared_ptr<InvertibleModule>& module, const Shape& shape, DType dtype,
                    bool inverse, int steps, double atol) {
  InvertibleModuleWrapper wrapper(module);
  wrapper.to(dtype);
  RMSprop optimizer(wrapper.parameters());
  for (int step = 0; step < steps; ++step) {
    const Tensor data = uniform(shape, static_cast<std::uint64_t>(step), dtype);
    optimizer.zero_grad();
    Tape tape;
    const Var x = tape.watch(data.clone(Tag::data));
    const Var y = run(wrapper, x, inverse);
    const Tensor result = y.value().clone(Tag::data);
    const Var again = tape.watch(result.clone(Tag::data));
    const Var back = run(wrapper, again, !inverse);
    CHECK(all_close(back.value(), data, 1e-5, atol));
    CHECK((x.value().storage().released() && again.value().storage().released()));
    tape.backward(mse_loss(y, uniform(shape, 50, dtype)));
    CHECK(x.shape() == shape);
    CHECK(all_close(x.value(), data, 1e-5, atol));
    CHECK(again.shape() == shape);
    CHECK(all_close(again.value(), result, 1e-5, atol));
    optimizer.step();
  }
}

}  // namespace

TEST_CASE("[P21] before training, an input is back within 1e-6 after backward", "[P21]") {
  for (const Pair pair : kPairs) {
    for (const bool inverse : {false, true}) {
      for (int seed = 0; seed < kSeeds; ++seed) {
        manual_seed(static_cast<std::uint64_t>(seed));
        check_restored(make_pair_of(pair, conv3x3(2, channels_out(pair, 2))), {2, 4, 5, 5}, DType::f32,
                       inverse, 1, 1e-6);
        // With batch norm the scale exp(t) spans e^-3 to e^3, too much for 1e-6 in f32.
        check_restored(make_module(pair), kShape, DType::f64, inverse, 1, 1e-6);
      }
    }
  }
}

TEST_CASE("[P21] while RMSprop trains, an input is back within 1e-4 after backward", "[P21]") {
  for (const Pair pair : kPairs) {
    for (const bool inverse : {false, true}) {
      manual_seed(1);
      check_restored(make_module(pair), kShape, DType::f32, inverse, kSeeds, 1e-4);
    }
  }
}

TEST_CASE("[P22] a training step through the wrapper is one through the plain formula", "[P22]") {
  const auto formula = [](Pair pair, const Var& target, const Var& r) {
    return pair == Pair::additive ? target + r : target * exp(r) + r;
  };
  for (const Pair pair : {Pair::additive, Pair::affine_naive}) {
    for (int seed = 0; seed < kSeeds; ++seed) {
      manual_seed(static_cast<std::uint64_t>(seed));
      const Tensor data = uniform({2, 4, 5, 5}, static_cast<std::uint64_t>(seed));
      const auto F = conv3x3(2, 2);
      const auto G = conv3x3(2, 2);
      InvertibleModuleWrapper wrapper(make_pair_of(pair, F->clone(), G->clone()));
      Tensors plain;
      {
        Tape tape;
        const Var x = tape.watch(data.clone(Tag::data));
        const Vars streams = split(x, 2, 1);
        const Var y1 = formula(pair, streams[0], F->forward(streams[1]));
        const Var y2 = formula(pair, streams[1], G->forward(y1));
        tape.backward(mean(concatenate({y1, y2}, 1)));
        plain.push_back(tape.grad(x));
      }
      for (Module* module : {F.get(), G.get()}) {
        SGD(module->parameters(), {.lr = 0.1}).step();
        for (const Tensor& gradient : copies_of_gradients(*module)) plain.push_back(gradient);
        for (const Tensor& parameter : copies_of_parameters(*module)) plain.push_back(parameter);
      }

      Tape tape;
      const Var x = tape.watch(data.clone(Tag::data));
      tape.backward(mean(wrapper.forward(x)));
      const Tensors before = copies_of_parameters(wrapper);
      SGD(wrapper.parameters(), {.lr = 0.1}).step();
      const Tensors gradients = copies_of_gradients(wrapper);
      const Tensors after = copies_of_parameters(wrapper);
      CHECK_FALSE(all_close(after.front(), before.front()));
      check_same_step({tape.grad(x), gradients[0], gradients[1], after[0], after[1], gradients[2],
                       gradients[3], after[2], after[3]},
                      plain);
    }
  }
}

TEST_CASE("[P23] with the input kept, every gradient is that of the plain run, bit by bit", "[P23]") {
  for (const Pair pair : kPairs) {
    for (const bool inverse : {false, true}) {
      for (int seed = 0; seed < kSeeds; ++seed) {
        manual_seed(static_cast<std::uint64_t>(seed));
        const auto module = make_module(pair);
        const auto gradients = [&](const WrapperOptions& options) {
          InvertibleModuleWrapper wrapper(module, options);
          wrapper.zero_grad();
          Tape tape;
          const Var x = tape.watch(uniform(kShape, static_cast<std::uint64_t>(seed)));
          tape.backward(mse_loss(run(wrapper, x, inverse), uniform(kShape, 50)));
          Tensors all = copies_of_gradients(wrapper);
          all.push_back(tape.grad(x));
          return all;
        };
        const Tensors plain = gradients({.disable = true});
        const Tensors kept = gradients({.keep_input = !inverse, .keep_input_inverse = inverse});
        for (std::size_t i = 0; i < plain.size(); ++i) CHECK(bit_equal(kept[i], plain[i]));
      }
    }
  }
}

TEST_CASE("[P24] disable, set at any time, is the plain function and releases nothing", "[P24]") {
  manual_seed(42);
  const auto F = conv_norm();
  const auto coupling = std::make_shared<AdditiveCoupling>(F, F);
  const auto copy = std::dynamic_pointer_cast<InvertibleModule>(coupling->clone());
  const Tensor data = uniform(kShape, 42);
  for (const bool inverse : {false, true}) {
    InvertibleModuleWrapper enabled(coupling);
    InvertibleModuleWrapper disabled(copy);
    enabled.eval();
    disabled.eval();
    Tape tape;
    const Var x = tape.watch(data.clone(Tag::data));
    const Var x2 = tape.watch(data.clone(Tag::data));
    const Var x3 = tape.watch(data.clone(Tag::data));
    const Var y = run(enabled, x, inverse);
    for (const bool keep : {false, true}) {  // the flags that keep are ignored
      disabled.options() = {.keep_input = keep, .keep_input_inverse = keep, .disable = true};
      const std::size_t nodes = tape.size();
      CHECK(bit_equal(run(disabled, x2, inverse).value(), y.value()));
      CHECK(tape.size() > nodes + 1);  // each operation is recorded
      check_bytes(x2, true, data);
    }
    check_bytes(x, false, data);

    // What has run keeps the options it ran with.
    enabled.options().disable = true;
    disabled.options() = {};
    CHECK(bit_equal(run(disabled, x3, inverse).value(), y.value()));
    check_bytes(x3, false, data);
    tape.backward(sum(y));
    CHECK(all_close(x.value(), data, 1e-5, 1e-6));
  }
}

namespace {

/// One step of two wrappers around one coupling whose F and G are one module: the gradients and the loss.
Tensors step_of_chain(Pair pair, DType dtype, bool disable) {
  manual_seed(42);
  const auto G = conv_norm(5, channels_out(pair, 5));
  const auto coupling = make_pair_of(pair, G, G);
  coupling->to(dtype);
  const Stack stack(coupling, 2, {.disable = disable});
  RMSprop optimizer(coupling->parameters());
  Tape tape;
  const Var x = tape.watch(uniform(kShape, 42, dtype)) * 1.0;
  const Var loss = mse_loss(stack.forward(x), uniform(kShape, 43, dtype));
  tape.backward(loss);
  optimizer.step();
  Tensors result = copies_of_gradients(*coupling);
  result.push_back(loss.value());
  return result;
}

}  // namespace

TEST_CASE("[P25] a chain of two wrappers takes a step of RMSprop, as the plain chain does", "[P25]") {
  for (const Pair pair : {Pair::additive, Pair::affine_naive, Pair::affine_sigmoid}) {
    CHECK(std::isfinite(step_of_chain(pair, DType::f32, false).back().item()));
    // The exponentials of exponentials of the naive adapter reach 1e8: gradients are compared in f64.
    const Tensors wrapped = step_of_chain(pair, DType::f64, false);
    const Tensors plain = step_of_chain(pair, DType::f64, true);
    CHECK(bit_equal(wrapped.back(), plain.back()));
    CHECK(gradient_error(wrapped, plain) < 1e8 * unit_roundoff(DType::f64));
  }
}
