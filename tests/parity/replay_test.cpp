// What a replay must not change: random masks, running statistics, and what others still need of an input.
#include <retrace/nn/activation.h>
#include <retrace/nn/dropout.h>
#include <retrace/revnet/networks.h>
#include <retrace/revnet/wrapper.h>

#include <functional>

#include "../support/catch.h"
#include "../support/random_tensor.h"
#include "../support/throws.h"
#include "modules.h"

using namespace retrace;
using namespace retrace::test;

namespace {

const Shape kShape{2, 10, 8, 8};
constexpr Pair kCouplings[] = {Pair::additive, Pair::affine_naive, Pair::affine_sigmoid};

Var run(InvertibleModule& module, const Var& x, bool inverse) {
  return inverse ? module.inverse(x) : module.forward(x);
}

std::shared_ptr<Module> with_dropout(std::int64_t in, std::int64_t out) {
  return std::make_shared<Sequential>(conv3x3(in, out), std::make_shared<Dropout>(0.5),
                                      std::make_shared<Tanh>());
}

/// All gradients of one step, dx the last.
Tensors gradients_of_step(const std::shared_ptr<InvertibleModule>& module, const Tensor& data,
                          const WrapperOptions& options, bool inverse = false) {
  manual_seed(7);
  InvertibleModuleWrapper wrapper(module, options);
  wrapper.zero_grad();
  Tape tape;
  const Var x = tape.watch(data.clone(Tag::data));
  tape.backward(mse_loss(run(wrapper, x, inverse), uniform(data.shape(), 50, data.dtype())));
  Tensors all = copies_of_gradients(wrapper);
  all.push_back(tape.grad(x));
  return all;
}

}  // namespace

// MemCNN sets the generator back to where forward began and then runs the inverse, which calls G before F:
// each draws the other's mask, the rebuilt input is wrong, and so are the gradients. There the option is off
// by default.
TEST_CASE("[P29] with dropout in F and in G, gradients are those of the plain run", "[P29]") {
  CHECK(WrapperOptions{}.preserve_rng_state);
  for (const Pair pair : kCouplings) {
    for (const bool inverse : {false, true}) {
      for (std::uint64_t seed = 0; seed < 10; ++seed) {
        manual_seed(seed);
        const auto module = make_pair_of(pair, with_dropout(5, channels_out(pair, 5)));
        module->to(DType::f64);
        const Tensor data = uniform(kShape, seed, DType::f64);
        const Tensors plain = gradients_of_step(module, data, {.disable = true}, inverse);
        CHECK(gradient_error(gradients_of_step(module, data, {}, inverse), plain) < kSameInF64);
        const Tensors kept =
            gradients_of_step(module, data, {.keep_input = true, .keep_input_inverse = true}, inverse);
        for (std::size_t i = 0; i < plain.size(); ++i) CHECK(bit_equal(kept[i], plain[i]));
        const Tensors other = gradients_of_step(module, data, {.preserve_rng_state = false}, inverse);
        CHECK(gradient_error(other, plain) > 1e-3);
      }
    }
  }
}

// MemCNN empties the input's storage under no_grad, too, and nothing ever brings it back.
TEST_CASE("[P31] without a tape nothing is released, in either direction", "[P31]") {
  for (const Pair pair : kPairs) {
    manual_seed(42);
    InvertibleModuleWrapper wrapper(make_pair_of(pair, conv_norm(5, channels_out(pair, 5))));
    for (const bool training : {true, false}) {
      wrapper.train(training);
      for (const bool inverse : {false, true}) {
        const Tensor data = uniform(kShape, 42);
        const Var y = run(wrapper, Var(data), inverse);
        CHECK_FALSE(data.storage().released());
        CHECK(bit_equal(data, uniform(kShape, 42)));
        CHECK(bit_equal(y.value(), run(*wrapper.fn(), Var(data), inverse).value()));

        Tape tape;  // and where one is switched off
        const Var watched = tape.watch(data);
        const NoTape no_tape;
        run(wrapper, watched, inverse);
        CHECK_FALSE(data.storage().released());
      }
    }
  }
}

namespace {

Tensors copies_of_buffers(Module& module) {
  Tensors copies;
  for (const auto& [name, buffer] : module.named_buffers()) copies.push_back(buffer->clone(Tag::data));
  return copies;
}

void check_counted_once(Module& module) {
  for (const auto& [name, buffer] : module.named_buffers())
    if (buffer->dtype() == DType::i64) CHECK(buffer->item() == 1);
}

}  // namespace

// MemCNN runs F and G three times a step in training mode, and each time their running statistics move.
TEST_CASE("[P32] running statistics advance once a step, bit-equal to the plain module's", "[P32]") {
  for (const Pair pair : kCouplings) {
    for (const bool inverse : {false, true}) {
      for (const bool keep : {false, true}) {
        const auto buffers = [&](const WrapperOptions& options) {
          manual_seed(42);
          const auto module = make_pair_of(pair, conv_norm(5, channels_out(pair, 5)));
          gradients_of_step(module, uniform(kShape, 1), options, inverse);
          check_counted_once(*module);
          return copies_of_buffers(*module);
        };
        const Tensors plain = buffers({.disable = true});
        const Tensors wrapped = buffers({.keep_input = keep, .keep_input_inverse = keep});
        REQUIRE(wrapped.size() == 6);
        for (std::size_t i = 0; i < plain.size(); ++i) CHECK(bit_equal(wrapped[i], plain[i]));
      }
    }
  }
}

TEST_CASE("[P32] the running statistics of a whole network are bit-equal to those of the stored run",
          "[P32]") {
  const auto buffers = [](Policy policy) {
    manual_seed(42);
    ResidualNetwork network(network_options("revnet38"));
    network.set_policy(policy);
    Tape tape;
    tape.backward(mean(network(Var(uniform({2, 3, 16, 16}, 1)))));
    check_counted_once(network);
    return copies_of_buffers(network);
  };
  const Tensors plain = buffers(Policy::stored);
  for (const Policy policy : {Policy::reversible, Policy::checkpoint}) {
    const Tensors other = buffers(policy);
    for (std::size_t i = 0; i < plain.size(); ++i) CHECK(bit_equal(other[i], plain[i]));
  }
}

namespace {

/// Gradients of a step in which `f` runs the wrapper somewhere behind a first convolution; dx the last.
Tensors gradients_around(Pair pair, const WrapperOptions& options,
                         const std::function<Var(const Var& h, InvertibleModuleWrapper&)>& f) {
  manual_seed(3);
  Conv2d stem(10, 10, {.kernel = 3, .padding = 1});
  InvertibleModuleWrapper wrapper(make_pair_of(pair, conv_norm(5, channels_out(pair, 5))), options);
  stem.to(DType::f64);
  wrapper.to(DType::f64);
  Tape tape;
  const Var x = tape.watch(uniform(kShape, 9, DType::f64));
  const Var z = f(stem(x), wrapper);
  tape.backward(sum(z * z));
  Tensors all = copies_of_gradients(stem);
  for (const Tensor& gradient : copies_of_gradients(wrapper)) all.push_back(gradient);
  all.push_back(tape.grad(x));
  return all;
}

void check_same_as_plain(const std::function<Var(const Var& h, InvertibleModuleWrapper&)>& f,
                         const WrapperOptions& options = {}) {
  for (const Pair pair : kPairs) {
    const Tensors plain = gradients_around(pair, {.disable = true}, f);
    CHECK(gradient_error(gradients_around(pair, options, f), plain) < kSameInF64);
  }
}

}  // namespace

// MemCNN's autograd notices the written storage by its version counter and refuses to train (PyTorch
// >= 1.13); with that worked around, zeros that come back as +-1e-17 open the ReLU's mask and the gradients
// in front are wrong.
TEST_CASE("[P33] an input that a ReLU in front saved gives correct gradients", "[P33]") {
  check_same_as_plain([](const Var& h, InvertibleModuleWrapper& wrapper) {
    const Var r = relu(h);
    int zeros = 0;
    for (const double v : r.value().to_vector<double>()) zeros += v == 0 ? 1 : 0;
    CHECK(zeros > 100);
    const Var y = wrapper.forward(r);
    CHECK((r.value().storage().released() || wrapper.options().disable));
    return y;
  });
}

// MemCNN resizes the storage that the view shares, and PyTorch stops at its size in backward.
TEST_CASE("[P33] an input that is a view, or of which a view exists, gives correct gradients", "[P33]") {
  check_same_as_plain(
      [](const Var& h, InvertibleModuleWrapper& wrapper) {  // a part of it, and the other part
        const Vars halves = split(tanh(h), 2, 0);
        return concatenate({wrapper.forward(halves[0]), halves[1]}, 0);
      });
  check_same_as_plain([](const Var& h, InvertibleModuleWrapper& wrapper) {  // the whole, under another shape
    const Var t = tanh(h);
    return wrapper.forward(reshape(reshape(t, {20, 64}), kShape));
  });
  check_same_as_plain([](const Var& h, InvertibleModuleWrapper& wrapper) {  // a part of it is used again
    const Var t = tanh(h);
    const Var part = slice(t, 0, 0, 1);
    const Var y = wrapper.forward(t);
    return y + concatenate({part, part}, 0);
  });
}

// MemCNN's program crashes: PyTorch reads the storage that was emptied.
TEST_CASE("[P33] an input that a skip connection reads later is an error that names the wrapper", "[P33]") {
  const auto skip = [](const Var& h, InvertibleModuleWrapper& wrapper) {
    const Var t = tanh(h);
    return wrapper.forward(t) + t;
  };
  for (const Pair pair : kPairs)
    CHECK_THROWS_WITH(
        gradients_around(pair, {}, skip),
        "[storage] a tensor that is read must hold its bytes, but InvertibleModuleWrapper released "
        "them; they come back during backward, or set keep_input (for inverse, keep_input_inverse) to keep "
        "them");
  check_same_as_plain(skip, {.keep_input = true});
  check_same_as_plain([](const Var& h, InvertibleModuleWrapper& wrapper) {  // read before, saved for later
    const Var t = tanh(h);
    const Var square = t * t;
    return wrapper.forward(t) * square;
  });
}

namespace {

/// A module with a parameter that it does not use.
class Unused final : public Module {
 public:
  Var forward(const Var& x) override { return conv_->forward(x); }
  void members(Members& m) override {
    m.module("conv", conv_);
    m.parameter("unused", unused_);
  }

 private:
  std::shared_ptr<Module> copy() const override { return std::make_shared<Unused>(*this); }
  std::shared_ptr<Module> conv_ = conv3x3(5, 5);
  Parameter unused_{Tensor::zeros({2}, DType::f32)};
};

/// Counts how often its inner module runs.
class Counting final : public Module {
 public:
  explicit Counting(std::shared_ptr<Module> inner) : inner_(std::move(inner)) {}
  Var forward(const Var& x) override {
    ++calls;
    return (*inner_)(x);
  }
  void members(Members& m) override { m.module("inner", inner_); }
  int calls = 0;

 private:
  std::shared_ptr<Module> copy() const override { return std::make_shared<Counting>(*this); }
  std::shared_ptr<Module> inner_;
};

}  // namespace

// MemCNN asks autograd for the gradient of every parameter, and autograd fails at the one that is not used.
TEST_CASE("[P34] a parameter of F that is not used has no gradient, and is no error", "[P34]") {
  for (const bool keep : {false, true}) {
    for (const bool inverse : {false, true}) {
      manual_seed(42);
      InvertibleModuleWrapper wrapper(std::make_shared<AdditiveCoupling>(std::make_shared<Unused>()),
                                      {.keep_input = keep, .keep_input_inverse = keep});
      Tape tape;
      const Var x = tape.watch(uniform(kShape, 1));
      tape.backward(mean(run(wrapper, x, inverse)));
      int used = 0;
      for (const auto& [name, parameter] : wrapper.named_parameters()) {
        const bool unused = name.find("unused") != std::string::npos;
        CHECK(parameter->grad().defined() == !unused);
        used += unused ? 0 : 1;
      }
      CHECK(used == 4);
      CHECK(tape.grad(x).defined());
    }
  }
}

TEST_CASE("[P35] F and G run twice a step in a coupling", "[P35]") {
  for (const Pair pair : kCouplings) {
    for (const bool inverse : {false, true}) {
      for (const int depth : {1, 4}) {
        const auto F = std::make_shared<Counting>(conv_norm(5, channels_out(pair, 5)));
        const auto G = std::make_shared<Counting>(conv_norm(5, channels_out(pair, 5)));
        const Stack stack(make_pair_of(pair, F, G), depth, {});
        Tape tape;
        const Var x = tape.watch(uniform(kShape, 1));
        const Var loss = mean(inverse ? stack.inverse(x) : stack.forward(x));
        CHECK((F->calls == depth && G->calls == depth));
        tape.backward(loss);
        CHECK((F->calls == 2 * depth && G->calls == 2 * depth));
      }
    }
  }
}
