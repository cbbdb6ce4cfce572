#include <retrace/core/random.h>

#include "../support/catch.h"
#include "../support/random_tensor.h"
#include "../support/throws.h"
#include "couplings.h"

using namespace retrace;
using namespace retrace::test;

TEST_CASE("[P01] y1 = x1 + F(x2), y2 = x2 + G(y1), and the inverse subtracts in the opposite order",
          "[P01]") {
  AdditiveCoupling coupling(function([](const Var& x) { return x * 2.0; }),
                            function([](const Var& x) { return x * x; }));
  with_and_without_tape([&] {
    // y1 = [1,2] + 2 [3,4];  y2 = [3,4] + y1^2
    const Var y = coupling.forward(numbers({1, 2, 3, 4}, {1, 4}));
    CHECK(y.value().to_vector<double>() == std::vector<double>{7, 10, 52, 104});
    // x2 = [3,4] - [1,2]^2;  x1 = [1,2] - 2 x2
    const Var x = coupling.inverse(numbers({1, 2, 3, 4}, {1, 4}));
    CHECK(x.value().to_vector<double>() == std::vector<double>{-3, 2, 2, 0});
  });
}

TEST_CASE("[P01] F and G may be different modules", "[P01]") {
  const auto wide = std::make_shared<Sequential>(conv3x3(5, 7), conv3x3(7, 5));
  AdditiveCoupling coupling(conv_norm(), wide);
  const Tensor x = uniform({2, 10, 8, 8}, 1);
  with_and_without_tape([&] {
    const Var y = coupling.forward(x);
    CHECK(y.shape() == x.shape());
    CHECK(all_close(coupling.inverse(y).value(), x, 1e-5, 1e-5));
  });
  CHECK(coupling.parameters().size() == 8);
  AdditiveCoupling wrong(conv3x3(5, 4), wide);
  check_throws<ShapeError>([&] { wrong.forward(x); },
                           "[AdditiveCoupling] the result of F and G must have the stream's shape "
                           "[2,5,8,8], got [2,4,8,8]");
}

TEST_CASE("[P02] y1 = s1 x1 + t1, y2 = s2 x2 + t2 with the scale itself, not its logarithm", "[P02]") {
  // The documentation of MemCNN says that F returns log(s); its code takes what F returns as s, as here.
  const auto F = scale_and_shift([](const Var& x) { return Vars{x, x * 10.0}; });
  const auto G = scale_and_shift([](const Var& x) { return Vars{x + 1.0, x * x}; });
  AffineCoupling coupling(F, G);
  with_and_without_tape([&] {
    // y1 = [3,4] [1,2] + 10 [3,4];  y2 = (y1 + 1) [3,4] + y1^2
    const Var y = coupling.forward(numbers({1, 2, 3, 4}, {1, 4}));
    CHECK(y.value().to_vector<double>() == std::vector<double>{33, 48, 1191, 2500});
    CHECK(coupling.inverse(y).value().to_vector<double>() == std::vector<double>{1, 2, 3, 4});
  });
}

TEST_CASE("[P02] the adapter is any callable from module to module", "[P02]") {
  int calls = 0;
  const AffineAdapter own = [&](const std::shared_ptr<Module>& f) -> std::shared_ptr<Module> {
    ++calls;
    return scale_and_shift([f](const Var& x) { return Vars{(*f)(x) + 2.0, (*f)(x)}; });
  };
  AffineCoupling coupling(function([](const Var& x) { return x; }),
                          function([](const Var& x) { return x * 0.0; }), own);
  CHECK(calls == 2);
  // y1 = (x2 + 2) x1 + x2;  y2 = 2 x2
  const Var y = coupling.forward(numbers({1, 2, 3, 4}, {1, 4}));
  CHECK(y.value().to_vector<double>() == std::vector<double>{8, 16, 6, 8});

  AffineCoupling unequal(conv_norm(), std::make_shared<Sequential>(conv3x3(5, 7), conv3x3(7, 5)),
                         adapter<AffineAdapterNaive>());
  const Tensor x = uniform({2, 10, 8, 8}, 1);
  CHECK(all_close(unequal.inverse(unequal.forward(x)).value(), x, 1e-4, 1e-4));
}

TEST_CASE("[P02] scale and shift must have the stream's shape", "[P02]") {
  const auto narrow = [](const Var& x) { return slice(x, 1, 0, 1); };
  const Tensor x = uniform({2, 4}, 1);
  with_and_without_tape([&] {
    AffineCoupling scale(scale_and_shift([&](const Var& v) { return Vars{narrow(v), v}; }));
    check_throws<ShapeError>([&] { scale.forward(x); },
                             "[AffineCoupling] the scale must have the stream's shape [2,2], got [2,1]");
    AffineCoupling shift(scale_and_shift([&](const Var& v) { return Vars{v, narrow(v)}; }));
    check_throws<ShapeError>([&] { shift.inverse(x); },
                             "[AffineCoupling] the shift must have the stream's shape [2,2], got [2,1]");
    AffineCoupling bare(function([](const Var& v) { return v; }));
    check_throws<ArgumentError>([&] { bare.forward(x); },
                                "[AffineCoupling] F and G must return a scale and a shift, got 1 tensors");
  });
}

TEST_CASE("[P03] AffineAdapterNaive: t = f(x), s = exp(t)", "[P03]") {
  AffineAdapterNaive naive(function([](const Var& x) { return x * 2.0; }));
  const Vars st = naive(Vars{numbers({0, 1, -1, 0.5}, {1, 4})});
  REQUIRE(st.size() == 2);
  CHECK(st[1].value().to_vector<double>() == std::vector<double>{0, 2, -2, 1});
  CHECK(roundings(st[0].value(),
                  numbers({1, 7.38905609893065, 0.1353352832366127, 2.718281828459045}, {1, 4})) <= 4);
}

TEST_CASE("[P04] AffineAdapterSigmoid: s from the odd channels, t from the even ones", "[P04]") {
  AffineAdapterSigmoid sigmoid(function([](const Var& x) { return x; }));
  SECTION("of a 2-dimensional h") {
    const Vars st = sigmoid(Vars{numbers({5, -2, 6, 0, 7, -1, 8, 1}, {2, 4})});
    REQUIRE(st.size() == 2);
    CHECK(roundings(st[0].value(),
                    numbers({0.5, 0.8807970779778823, 0.7310585786300049, 0.9525741268224334}, {2, 2})) <= 4);
    CHECK(bit_equal(st[1].value(), numbers({5, 6, 7, 8}, {2, 2})));
  }
  SECTION("of a 4-dimensional h") {
    const Vars st = sigmoid(Vars{numbers({1, 2, -2, -2, 3, 4, 0, 0}, {1, 4, 1, 2})});
    CHECK(roundings(st[0].value(),
                    numbers({0.5, 0.5, 0.8807970779778823, 0.8807970779778823}, {1, 2, 1, 2})) <= 4);
    CHECK(bit_equal(st[1].value(), numbers({1, 2, 3, 4}, {1, 2, 1, 2})));
  }
  SECTION("of a number of channels that is odd") {
    check_throws<ShapeError>(
        [&] {
          sigmoid(Vars{uniform({2, 3}, 1)});
        },
        "[AffineAdapterSigmoid] f must return an even number of channels, half of them scales, got [2,3]");
  }
}

TEST_CASE("[P04] couplings with the sigmoid adapter invert, for images and for rows", "[P04]") {
  AffineCoupling images(conv_norm(5, 10), nullptr, adapter<AffineAdapterSigmoid>());
  AffineCoupling rows(function([](const Var& x) {
                        return concatenate({x, x * 2.0}, 1);
                      }),
                      nullptr, adapter<AffineAdapterSigmoid>());
  const auto check = [](Coupling& coupling, const Tensor& x) {
    with_and_without_tape([&] {
      const Var y = coupling.forward(x);
      CHECK(y.shape() == x.shape());
      CHECK(all_close(coupling.inverse(y).value(), x, 1e-4, 1e-4));
    });
  };
  check(images, uniform({2, 10, 8, 8}, 1));
  check(rows, uniform({3, 6}, 1));
}

TEST_CASE("[P11] inverse(forward(x)) is x", "[P11]") {
  for (const std::string_view name : {"additive", "affine"}) {
    for (std::uint64_t seed = 0; seed < kSeeds; ++seed) {
      manual_seed(seed);
      const Tensor x = uniform({2, 4, 5, 5}, seed);
      const auto coupling = naive_coupling(name, conv3x3(2, 2), nullptr);
      CHECK_FALSE(all_close(coupling->forward(x).value(), x, 1e-5, 1e-6));
      with_and_without_tape([&] {
        CHECK(all_close(coupling->inverse(coupling->forward(x)).value(), x, 1e-5, 1e-6));
        CHECK(all_close(coupling->forward(coupling->inverse(x)).value(), x, 1e-5, 1e-6));
        InvertibleModuleWrapper wrapper(coupling);
        CHECK(all_close(wrapper.inverse(wrapper.forward(x)).value(), x, 1e-5, 1e-6));
      });
    }
  }
}

namespace {

/// Runs a coupling whose F returns a tenth of its input, and looks at what F sees.
void check_split(std::string_view name, const Shape& shape, int dim, const Coupling& default_or_given) {
  CHECK(default_or_given.split_dim() == dim);
  const Shape half = shape.with(dim, shape[dim] / 2);
  for (const int implementation : kImplementations) {
    std::vector<Shape> seen;
    const auto look = function([&](const Var& x) {
      seen.push_back(x.shape());
      return x * 0.1;
    });
    const auto coupling = naive_coupling(name, look, nullptr, implementation, dim);
    Tensor x(shape, DType::f64);
    kernel::normal({.seed = 1, .stream = 0}, 0, 1, x);
    const Tensor plain = coupling->forward(x).value();
    CHECK(roundings(coupling->inverse(plain).value(), x) <= 20);  // of four half steps
    Tape tape;
    const Var leaf = tape.watch(x);
    const Var y = coupling->forward(leaf);
    CHECK(y.shape() == shape);
    CHECK(bit_equal(y.value(), plain));
    tape.backward(sum(y));
    CHECK(tape.grad(leaf).shape() == shape);
    CHECK(seen.size() == (implementation == -1 ? 6 : 8));
    for (const Shape& s : seen) CHECK(s == half);
    // The streams are the halves: the first one got a tenth of the second one added.
    if (name == "additive") {
      const Vars in = split(Var(x), 2, dim);
      CHECK(bit_equal(split(Var(plain), 2, dim)[0].value(), (in[0] + in[1] * 0.1).value()));
    }
  }
}

}  // namespace

TEST_CASE("[P12] split_dim 0, 1, 2: F sees half of that dimension, in every implementation", "[P12]") {
  // MemCNN's implementations 0 and 1 cut dimension 1 whatever split_dim says.
  const auto same = function([](const Var& x) { return x; });
  for (const Shape& shape : {Shape{2, 2, 2}, Shape{2, 4, 8, 12}}) {
    check_split("additive", shape, 1, AdditiveCoupling(same));
    check_split("affine", shape, 1, AffineCoupling(same));
    for (const int dim : {0, 1, 2}) {
      check_split("additive", shape, dim, AdditiveCoupling(same, nullptr, {.split_dim = dim}));
      check_split("affine", shape, dim, AffineCoupling(same, nullptr, nullptr, {.split_dim = dim}));
    }
  }
}

TEST_CASE("[P13] without Gm, G is an independent copy of F", "[P13]") {
  for (const std::string_view name : {"additive", "affine"}) {
    for (const int implementation : kImplementations) {
      const auto F = conv_norm(2, 2);
      const auto coupling = naive_coupling(name, F, nullptr, implementation);
      const std::vector<Parameter*> all = coupling->parameters();
      const std::vector<Parameter*> of_F = F->parameters();
      REQUIRE(all.size() == 2 * of_F.size());
      for (std::size_t i = 0; i < of_F.size(); ++i) {
        const Parameter* of_G = all[of_F.size() + i];
        CHECK(all[i] == of_F[i]);  // F is what was given, not a copy
        CHECK_FALSE(of_G->value().shares_storage(of_F[i]->value()));
        CHECK(bit_equal(of_G->value(), of_F[i]->value()));
      }
      const auto buffers = coupling->named_buffers();
      REQUIRE(buffers.size() == 6);
      for (std::size_t i = 0; i < 3; ++i)
        CHECK_FALSE(buffers[i].second->shares_storage(*buffers[3 + i].second));
      // What becomes of F does not become of G.
      const Tensor G_before = all[of_F.size()]->value().clone(Tag::data);
      kernel::fill(of_F[0]->value(), 7);
      CHECK(bit_equal(all[of_F.size()]->value(), G_before));
    }
  }
}

// MemCNN: chunks of different sizes, and PyTorch's error about sizes that do not broadcast.
TEST_CASE("[P14] a dimension that cannot be cut is an error that names coupling, dimension and shape",
          "[P14]") {
  const auto same = function([](const Var& x) { return x; });
  for (const int implementation : kImplementations) {
    const CouplingOptions options{.implementation_fwd = implementation, .implementation_bwd = implementation};
    AdditiveCoupling additive(same, nullptr, options);
    AffineCoupling affine(same, nullptr, adapter<AffineAdapterNaive>(), options);
    AdditiveCoupling rows(same, nullptr, {implementation, implementation, 0});
    const Tensor odd = uniform({3, 5, 4, 4}, 1);
    const std::string which = "] dimension 1 of x must exist and be even to be cut into two streams, got ";
    with_and_without_tape([&] {
      const Var x = Tape::current() != nullptr ? Tape::current()->watch(odd) : Var(odd);
      check_throws<ShapeError>([&] { additive.forward(x); }, "[AdditiveCoupling" + which + "[3,5,4,4]");
      check_throws<ShapeError>([&] { additive.inverse(x); }, "[AdditiveCoupling" + which + "[3,5,4,4]");
      check_throws<ShapeError>([&] { affine.forward(x); }, "[AffineCoupling" + which + "[3,5,4,4]");
      check_throws<ShapeError>([&] { affine.inverse(x); }, "[AffineCoupling" + which + "[3,5,4,4]");
      check_throws<ShapeError>([&] { affine.forward(uniform({4}, 1)); }, "[AffineCoupling" + which + "[4]");
      check_throws<ShapeError>([&] { rows.forward(x); },
                               "[AdditiveCoupling] dimension 0 of x must exist and be even to be cut into "
                               "two streams, got [3,5,4,4]");
    });
  }
}
