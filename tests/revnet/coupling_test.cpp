#include <retrace/revnet/coupling.h>

#include "../support/catch.h"
#include "modules.h"

using namespace retrace;
using namespace retrace::test;

namespace {

/// Outputs and inverses through the formula, on a tape, and in place.
void check_directions(InvertibleModule& module, const Shape& shape) {
  const Tensor x = uniform(shape, 3);
  const Tensor y = module.advance({x}).front();
  CHECK(y.shape() == x.shape());
  Tape tape;
  CHECK(module.forward(tape.watch(x)).value().to_vector<double>() == y.to_vector<double>());
  CHECK(relative_error(module.inverse(tape.watch(y)).value(), x) < 1e-12);
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
  CHECK(relative_error(coupling.forward(x).value(), concatenate({y1, y2}, 1).value()) < 1e-15);
}

TEST_CASE("couplings compute the same on a tape and in place, and invert", "[coupling]") {
  for (const Kind kind : kKinds) check_directions(*make_invertible(kind), {5, 4});
}

TEST_CASE("F sees half of the dimension that is split", "[coupling]") {
  for (const int dim : {0, 1, 2}) {
    AdditiveCoupling coupling(std::make_shared<Layer>(dim == 2 ? 3 : 6, dim == 2 ? 3 : 6), nullptr,
                              {.split_dim = dim});
    check_directions(coupling, {2, 4, 6});
  }
}

TEST_CASE("without G, it is an independent copy of F", "[coupling]") {
  AdditiveCoupling coupling(std::make_shared<Layer>(2, 2));
  const auto parameters = coupling.named_parameters();
  REQUIRE(parameters.size() == 4);
  CHECK(parameters[0].first == "F.linear.weight");
  CHECK(parameters[2].first == "G.linear.weight");
  CHECK_FALSE(parameters[0].second->value().shares_storage(parameters[2].second->value()));
  CHECK(parameters[0].second->value().to_vector<double>() ==
        parameters[2].second->value().to_vector<double>());
}

TEST_CASE("a coupling takes its two streams, too", "[coupling]") {
  const auto coupling = make_invertible(Kind::additive);
  const Tensor x = uniform({3, 4}, 1);
  const Tensor x1 = slice(x, 1, 0, 2).value();
  const Tensor x2 = slice(x, 1, 2, 4).value();
  const Vars y = coupling->forward_all({x1, x2});
  CHECK(concatenate(y, 1).value().to_vector<double>() == coupling->forward(x).value().to_vector<double>());
  const Vars back = coupling->inverse_all(y);
  CHECK(relative_error(back[0].value(), x1) < 1e-12);
}

TEST_CASE("wrong uses of couplings are errors", "[coupling]") {
  auto layer = std::make_shared<Layer>(2, 2);
  AdditiveCoupling coupling(layer);
  CHECK_THROWS_WITH(
      coupling.forward(uniform({2, 5}, 1)),
      "[coupling] dimension 1 of x must exist and be even to be cut into two streams, got [2,5]");
  CHECK_THROWS_WITH(coupling.forward(uniform({4}, 1)),
                    "[coupling] dimension 1 of x must exist and be even to be cut into two streams, got [4]");
  const Var x = uniform({2, 2}, 1);
  CHECK_THROWS_WITH(coupling.forward_all({x, x, x}),
                    "[coupling] a coupling takes one tensor or its two streams, got 3 tensors");
  CHECK_THROWS_WITH(AdditiveCoupling(nullptr), "[coupling] F must be a module, got none");
  AdditiveCoupling wide(std::make_shared<Layer>(2, 4));
  CHECK_THROWS_WITH(wide.forward(uniform({2, 4}, 1)),
                    "[coupling] the result of F and G must have the stream's shape [2,2], got [2,4]");
  AffineCoupling bare(layer);
  CHECK_THROWS_WITH(
      bare.forward(uniform({2, 4}, 1)),
      "[coupling] F and G of an affine coupling must return a scale and a shift, got 1 tensors");
  AffineCoupling odd(std::make_shared<Layer>(2, 3), nullptr, adapter<AffineAdapterSigmoid>());
  CHECK_THROWS_WITH(
      odd.forward(uniform({2, 4}, 1)),
      "[AffineAdapterSigmoid] f must return an even number of channels, half of them scales, got [2,3]");
  AffineCoupling narrow(std::make_shared<Layer>(2, 2), nullptr, adapter<AffineAdapterSigmoid>());
  CHECK_THROWS_WITH(narrow.forward(uniform({2, 4}, 1)),
                    "[coupling] the scale must have the stream's shape [2,2], got [2,1]");
}
