#include <retrace/core/random.h>
#include <retrace/nn/optimizer.h>
#include <retrace/revnet/wrapper.h>

#include <string_view>

#include "../support/catch.h"
#include "../support/random_tensor.h"
#include "couplings.h"

using namespace retrace;
using namespace retrace::test;

namespace {

/// What a tape holds of a coupling that ran on it, and what came of it.
struct Held {
  std::size_t nodes = 0;
  std::vector<SavedTensor> saved{};
  Tensor x;
  Tensor y;
  Tensor dx;
  int evaluations = 0;
};

Held hold(std::string_view name, int fwd, int bwd, bool inverse, bool two_streams) {
  Held held;
  const auto counted = function([&](const Var& x) {
    ++held.evaluations;
    return tanh(x);
  });
  auto coupling = create_coupling(counted, nullptr, name, adapter<AffineAdapterNaive>(),
                                  {.implementation_fwd = fwd, .implementation_bwd = bwd});
  Tape tape;
  const Var leaf = tape.watch(uniform({2, 4}, 1, DType::f64));
  Vars in{leaf};
  if (two_streams) in = split(leaf, 2, 1);
  const std::size_t before = tape.size();
  const Tensor x = in.front().value().clone(Tag::data);
  const Vars out = inverse ? coupling->inverse_all(in) : coupling->forward_all(in);
  REQUIRE(out.size() == in.size());
  coupling.reset();  // the tape keeps what it needs
  held.nodes = tape.size() - before;
  held.saved = tape.saved();
  held.x = in.front().value();
  held.y = out.front().value();
  CHECK_FALSE(held.x.storage().released());
  CHECK(bit_equal(held.x, x));
  const Var y = two_streams ? concatenate(out, 1) : out.front();
  const Var loss = sum(y * y);
  tape.backward(loss, {.retain = true});
  const Tensor once = tape.grad(leaf);
  tape.backward(loss);  // a second pass adds the same
  held.dx = tape.grad(leaf);
  CHECK(roundings(held.dx, (Var(once) * 2.0).value()) <= kRebuilt);
  return held;
}

void check_held(std::string_view name, bool inverse, bool two_streams) {
  INFO(name << (inverse ? " inverse" : " forward") << (two_streams ? " of streams" : ""));
  // The number that is not for this direction is another one.
  const auto with = [&](int implementation, int other) {
    return inverse ? hold(name, other, implementation, true, two_streams)
                   : hold(name, implementation, other, false, two_streams);
  };
  const std::size_t tensors = two_streams ? 2 : 1;
  const Held formula = with(-1, 1);
  CHECK(formula.nodes > 1);
  CHECK(formula.evaluations == 2);

  const Held from_input = with(0, -1);
  CHECK(from_input.nodes == 1);
  REQUIRE(from_input.saved.size() >= tensors);
  const SavedTensor& x = from_input.saved[from_input.saved.size() - tensors];
  CHECK(x.tensor.shares_storage(from_input.x));
  CHECK(from_input.evaluations == 2 + 2 * 2);
  CHECK(bit_equal(from_input.y, formula.y));
  CHECK(bit_equal(from_input.dx, formula.dx));

  const Held from_output = with(1, 0);
  CHECK(from_output.nodes == 1);
  std::size_t outputs = 0;
  for (const SavedTensor& s : from_output.saved) {
    if (s.tensor.defined()) CHECK_FALSE(s.tensor.shares_storage(from_output.x));
    outputs += s.tensor.shares_storage(from_output.y) ? 1 : 0;
  }
  CHECK(outputs == 1);
  CHECK(from_output.evaluations == 2 + 2 * 2);
  CHECK(bit_equal(from_output.y, formula.y));
  CHECK(roundings(from_output.dx, formula.dx) <= kRebuilt);
}

}  // namespace

TEST_CASE("[P09] implementation -1 records the formula, 0 keeps the input, 1 the output; all agree",
          "[P09]") {
  for (const std::string_view name : {"additive", "affine"})
    for (const bool inverse : {false, true})
      for (const bool two_streams : {false, true}) check_held(name, inverse, two_streams);
}

namespace {

/// The formula by hand, for F and G under the naive adapter where `affine`.
Var formula(const Var& x, Module& F, Module& G, bool affine, bool inverse) {
  const Vars half = split(x, 2, 1);
  const auto change = [&](Module& m, const Var& target, const Var& source) {
    const Var t = m(source);
    if (affine) return inverse ? (target - t) / exp(t) : target * exp(t) + t;
    return inverse ? target - t : target + t;
  };
  if (inverse) {
    const Var x2 = change(G, half[1], half[0]);
    return concatenate({change(F, half[0], x2), x2}, 1);
  }
  const Var y1 = change(F, half[0], half[1]);
  return concatenate({y1, change(G, half[1], y1)}, 1);
}

/// What one step of training leaves behind.
struct Trained {
  double loss = 0;
  Tensor dx;
  Tensors gradients;
  Tensors parameters;
};

template <class Run>
Trained train(const Tensor& batch, const std::vector<Parameter*>& parameters, const Run& run) {
  SGD optimizer(parameters, {.lr = 0.1});
  Trained result;
  Tape tape;
  const Var x = tape.watch(batch.clone(Tag::data));
  const Var loss = mean(run(x));
  result.loss = loss.value().item();
  tape.backward(loss);
  result.dx = tape.grad(x);
  optimizer.step();
  for (const Parameter* p : parameters) {
    result.gradients.push_back(p->grad());
    result.parameters.push_back(p->value());
  }
  CHECK(bit_equal(x.value(), batch));  // no implementation releases or changes its input
  return result;
}

std::vector<Parameter*> parameters_of(Module& F, Module& G) {
  std::vector<Parameter*> all = F.parameters();
  for (Parameter* p : G.parameters()) all.push_back(p);
  return all;
}

/// F and G: 3x3 convolutions with bias and without batch norm, begun from the seed.
struct Convolutions {
  std::shared_ptr<Module> F;
  std::shared_ptr<Module> G;

  Convolutions(std::uint64_t seed, DType dtype) {
    manual_seed(seed);
    F = conv3x3(2, 2);
    G = conv3x3(2, 2);
    F->to(dtype);
    G->to(dtype);
  }
};

void check_same(const Trained& got, const Trained& wanted, DType dtype) {
  CHECK(roundings(got.loss, wanted.loss, dtype) <= kRebuilt);
  CHECK(roundings(got.dx, wanted.dx) <= kRebuilt);
  REQUIRE(got.gradients.size() == 4);
  for (std::size_t i = 0; i < 4; ++i) {
    CHECK(roundings(got.gradients[i], wanted.gradients[i]) <= kRebuilt);
    CHECK(roundings(got.parameters[i], wanted.parameters[i]) <= kRebuilt);
  }
}

/// One seed of row P10.
void train_as_the_formula(std::uint64_t seed, DType dtype, std::string_view name, bool inverse) {
  const bool affine = name == "affine";
  const Tensor x = uniform({2, 4, 5, 5}, seed, dtype);
  const Convolutions begin(seed, dtype);
  Convolutions by_hand(seed, dtype);
  const Trained wanted = train(x, parameters_of(*by_hand.F, *by_hand.G), [&](const Var& v) {
    return formula(v, *by_hand.F, *by_hand.G, affine, inverse);
  });
  CHECK_FALSE(bit_equal(by_hand.F->parameters()[0]->value(), begin.F->parameters()[0]->value()));
  CHECK_FALSE(bit_equal(begin.F->parameters()[0]->value(), begin.G->parameters()[0]->value()));
  for (const int implementation : kImplementations) {
    INFO(name << (inverse ? " inverse" : " forward") << ", implementation " << implementation << ", seed "
              << seed);
    Convolutions own(seed, dtype);
    const auto coupling = naive_coupling(name, own.F, own.G, implementation);
    const auto run = [&](Module& m, const Var& v) {
      return inverse ? static_cast<InvertibleModule&>(m).inverse(v) : m.forward(v);
    };
    check_same(train(x, parameters_of(*own.F, *own.G), [&](const Var& v) { return run(*coupling, v); }),
               wanted, dtype);

    // The same coupling, trained on, goes into a wrapper: its input comes back.
    InvertibleModuleWrapper wrapper(coupling);
    Tape tape;
    const Var leaf = tape.watch(x.clone(Tag::data));
    const Var loss = mean(run(wrapper, leaf));
    CHECK(leaf.value().storage().released());
    tape.backward(loss);
    CHECK(all_close(leaf.value(), x, 1e-5, 1e-6));
  }
}

}  // namespace

// MemCNN's test compares the gradients of the parameters alone. That of its input is wrong: through the
// inverse of implementation 0 its halves come back exchanged, and implementation 1 of the affine coupling
// leaves out one stream's scale.
TEST_CASE("[P10] every implementation trains as the formula does, through forward and through inverse",
          "[P10]") {
  for (const DType dtype : {DType::f32, DType::f64})
    for (const std::string_view name : {"additive", "affine"})
      for (const bool inverse : {false, true})
        for (std::uint64_t seed = 0; seed < kSeeds; ++seed) train_as_the_formula(seed, dtype, name, inverse);
}
