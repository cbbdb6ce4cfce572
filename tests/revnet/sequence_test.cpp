#include <retrace/revnet/checkpoint.h>
#include <retrace/revnet/sequence.h>

#include "../support/catch.h"
#include "modules.h"

using namespace retrace;
using namespace retrace::test;

namespace {

std::shared_ptr<InvertibleSequence> make_sequence(const std::vector<Kind>& kinds, double dropout = 0) {
  std::vector<std::shared_ptr<InvertibleModule>> blocks;
  for (const Kind kind : kinds) blocks.push_back(make_invertible(kind, dropout));
  return std::make_shared<InvertibleSequence>(std::move(blocks));
}

struct Step {
  Tensor y;
  Tensor dx;
  std::vector<Named<Tensor>> gradients;
};

template <class Run>
Step step(InvertibleSequence& sequence, const Run& run) {
  manual_seed(9);
  sequence.zero_grad();
  Tape tape;
  const Var leaf = tape.watch(uniform({3, 4}, 1));
  const Var y = run(tanh(leaf));
  tape.backward(sum(y * y));
  return {y.value(), tape.grad(leaf), gradients(sequence)};
}

}  // namespace

TEST_CASE("a sequence gives the same numbers stored, checkpointed and reversed, with and without dropout",
          "[sequence]") {
  using enum Kind;
  const std::vector<std::vector<Kind>> cases = {{additive},
                                                {additive, additive, additive},
                                                {affine_naive, affine_sigmoid},
                                                {additive, scaling, affine_naive}};
  for (const auto& kinds : cases) {
    for (const double dropout : {0.0, 0.3}) {
      const auto sequence = make_sequence(kinds, dropout);
      const Step stored = step(*sequence, [&](const Var& x) { return sequence->forward(x); });
      const Step reversed =
          step(*sequence, [&](const Var& x) { return InvertibleModuleWrapper(sequence)(x); });
      const Step checkpointed = step(*sequence, [&](const Var& x) { return checkpoint(sequence, x); });
      CHECK(reversed.y.to_vector<double>() == stored.y.to_vector<double>());
      CHECK(checkpointed.dx.to_vector<double>() == stored.dx.to_vector<double>());
      CHECK(roundings(reversed.dx, stored.dx) <= kRebuilt);
      for (std::size_t i = 0; i < stored.gradients.size(); ++i) {
        CHECK(checkpointed.gradients[i].second.to_vector<double>() ==
              stored.gradients[i].second.to_vector<double>());
        CHECK(roundings(reversed.gradients[i].second, stored.gradients[i].second) <= kRebuilt);
      }
    }
  }
}

TEST_CASE("the inverse of a sequence trains, too", "[sequence]") {
  const auto sequence = make_sequence({Kind::additive, Kind::affine_naive});
  const Step stored = step(*sequence, [&](const Var& x) { return sequence->inverse(x); });
  const Step reversed =
      step(*sequence, [&](const Var& x) { return InvertibleModuleWrapper(sequence).inverse(x); });
  CHECK(roundings(reversed.dx, stored.dx) <= kRebuilt);
  for (std::size_t i = 0; i < stored.gradients.size(); ++i)
    CHECK(roundings(reversed.gradients[i].second, stored.gradients[i].second) <= kRebuilt);
}

TEST_CASE("streams that somebody holds are not overwritten", "[sequence]") {
  const auto sequence = make_sequence({Kind::additive, Kind::additive});
  const Tensor x1 = uniform({3, 2}, 1);
  const Tensor x2 = uniform({3, 2}, 2);
  const std::vector<double> before = x1.to_vector<double>();
  const Tensors y = sequence->advance({x1, x2});
  CHECK(x1.to_vector<double>() == before);
  const Tensors x = sequence->retreat(y);
  CHECK(roundings(x[0], x1) <= kRebuilt);
  CHECK(roundings(x[1], x2) <= kRebuilt);
}

TEST_CASE("one fingerprint of random numbers serves a whole sequence, whose masks differ from block to block",
          "[sequence]") {
  const auto sequence = make_sequence({Kind::additive, Kind::additive}, 0.5);
  for (Parameter* p : sequence->parameters()) kernel::fill(p->value(), 0.3);
  manual_seed(1);
  const std::vector<double> y = sequence->advance({uniform({3, 4}, 1)}).front().to_vector<double>();
  manual_seed(1);
  CHECK(sequence->advance({uniform({3, 4}, 1)}).front().to_vector<double>() == y);
  CHECK(sequence->advance({uniform({3, 4}, 1)}).front().to_vector<double>() != y);
}

TEST_CASE("wrong sequences are errors", "[sequence]") {
  CHECK_THROWS_WITH(InvertibleSequence({}),
                    "[InvertibleSequence] there must be at least one block, got none");
  CHECK_THROWS_WITH(InvertibleSequence({nullptr}),
                    "[InvertibleSequence] every block must be a module, got an empty pointer");
}
