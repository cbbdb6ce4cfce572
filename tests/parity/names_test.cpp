#include <retrace/revnet/is_invertible.h>
#include <retrace/revnet/reversible_block.h>

#include <cmath>

#include "../support/catch.h"
#include "../support/random_tensor.h"
#include "../support/throws.h"
#include "compile.h"
#include "couplings.h"

// ReversibleBlock is deprecated, and tested.
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

using namespace retrace;
using namespace retrace::test;

namespace {

Var run(InvertibleModule& module, const Var& x, bool inverse) {
  return inverse ? module.inverse(x) : module.forward(x);
}

/// Whether forward (or inverse) on a tape released its input.
bool releases(InvertibleModule& module, const Tensor& batch, bool inverse) {
  Tape tape;
  const Var x = tape.watch(batch.clone(Tag::data));
  const Var y = run(module, x, inverse);
  return x.value().storage().released();
}

/// dx, then the gradients of the parameters, of a weighted sum of the outputs.
Tensors gradients_through(InvertibleModule& module, const Tensor& batch, bool inverse) {
  module.zero_grad();
  Tape tape;
  const Var x = tape.watch(batch.clone(Tag::data));
  const Var y = run(module, x, inverse);
  tape.backward(sum(y * y));
  Tensors all{tape.grad(x)};
  for (const Parameter* p : module.parameters()) all.push_back(p->grad().clone(Tag::data));
  return all;
}

/// The largest difference, divided by the largest magnitude of all: a bias in front of a batch norm has a
/// gradient that is zero but for rounding.
double largest_difference(const Tensors& got, const Tensors& wanted) {
  double worst = got.size() == wanted.size() ? 0 : INFINITY;
  double scale = 0;
  for (std::size_t i = 0; i < std::min(got.size(), wanted.size()); ++i) {
    const std::vector<double> a = got[i].to_vector<double>();
    const std::vector<double> b = wanted[i].to_vector<double>();
    REQUIRE(a.size() == b.size());
    for (std::size_t e = 0; e < a.size(); ++e) {
      worst = std::isnan(a[e]) ? INFINITY : std::max(worst, std::abs(a[e] - b[e]));
      scale = std::max(scale, std::abs(b[e]));
    }
  }
  return worst / scale;
}

std::shared_ptr<InvertibleModule> module_of(Pair pair, DType dtype) {
  auto module = make_pair_of(pair, conv_norm(5, channels_out(pair, 5)));
  module->to(dtype);
  return module;
}

}  // namespace

TEST_CASE("[P05] InvertibleModuleWrapper's options, and their defaults", "[P05]") {
  const WrapperOptions options;
  CHECK_FALSE(options.keep_input);
  CHECK_FALSE(options.keep_input_inverse);
  CHECK(options.num_bwd_passes == 1);
  CHECK_FALSE(options.disable);
  CHECK(options.preserve_rng_state);  // MemCNN: false
}

TEST_CASE("[P05] the wrapper trains any module with forward and inverse, in both directions", "[P05]") {
  const Tensor x = uniform({2, 10, 8, 8}, 1, DType::f64);
  for (const Pair pair : kPairs) {
    const auto module = module_of(pair, DType::f64);
    for (const bool inverse : {false, true}) {
      InvertibleModuleWrapper wrapper(module);
      CHECK(releases(wrapper, x, inverse));
      const Tensors plain = gradients_through(*module, x, inverse);
      CHECK(plain.size() == 1 + module->parameters().size());
      CHECK(largest_difference(gradients_through(wrapper, x, inverse), plain) < kSameInF64);
    }
  }
}

TEST_CASE("[P05] options can be changed after construction", "[P05]") {
  const Tensor x = uniform({2, 10, 8, 8}, 1);
  for (const Pair pair : kPairs) {
    InvertibleModuleWrapper wrapper(module_of(pair, DType::f32));
    for (const bool keep : {true, false}) {
      for (const bool keep_inverse : {true, false}) {
        wrapper.options().keep_input = keep;
        wrapper.options().keep_input_inverse = keep_inverse;
        CHECK(releases(wrapper, x, false) == !keep);
        CHECK(releases(wrapper, x, true) == !keep_inverse);
      }
    }
  }
}

TEST_CASE("[P05] a forward that has run keeps the options it ran with", "[P05]") {
  InvertibleModuleWrapper wrapper(module_of(Pair::additive, DType::f32));
  Tape tape;
  const Var x = tape.watch(uniform({2, 10, 8, 8}, 1));
  const Var loss = mean(wrapper(x));
  wrapper.options() = {.keep_input = true, .num_bwd_passes = 2, .disable = true};
  tape.backward(loss, {.retain = true});
  CHECK(all_close(x.value(), uniform({2, 10, 8, 8}, 1), 1e-5, 1e-5));
  CHECK_THROWS_WITH(tape.backward(loss),
                    "[InvertibleModuleWrapper] backward may run num_bwd_passes = 1 times through one "
                    "forward, got one more");
}

TEST_CASE("[P05] a disabled wrapper is the plain module and ignores both keep flags", "[P05]") {
  const Tensor x = uniform({2, 10, 8, 8}, 1);
  for (const Pair pair : kPairs) {
    const auto module = module_of(pair, DType::f32);
    InvertibleModuleWrapper wrapper(module, {.disable = true});
    for (const bool inverse : {false, true}) {
      const Tensors plain = gradients_through(*module, x, inverse);
      for (const bool keep : {false, true}) {
        wrapper.options().keep_input = wrapper.options().keep_input_inverse = keep;
        CHECK_FALSE(releases(wrapper, x, inverse));
        CHECK(largest_difference(gradients_through(wrapper, x, inverse), plain) == 0);
      }
      wrapper.options() = {};
      CHECK(releases(wrapper, x, inverse));
      wrapper.options().disable = true;
    }
  }
}

TEST_CASE("[P05] the wrapper takes and returns several tensors", "[P05]") {
  const Tensor x = uniform({2, 5, 4, 4}, 1);
  InvertibleModuleWrapper fork(std::make_shared<SplitChannels>(2));
  Tape tape;
  const Var leaf = tape.watch(x.clone(Tag::data));
  const Vars parts = fork.forward_all({leaf});
  REQUIRE(parts.size() == 2);
  CHECK(parts[1].shape() == Shape{2, 3, 4, 4});
  const Vars back = fork.inverse_all({parts[0] * 2.0, parts[1] * 3.0});
  REQUIRE(back.size() == 1);
  tape.backward(sum(back.front()));
  const Tensor wanted =
      concatenate(
          {Var(Tensor::full({2, 2, 4, 4}, 2, DType::f32)), Var(Tensor::full({2, 3, 4, 4}, 3, DType::f32))}, 1)
          .value();
  CHECK(bit_equal(tape.grad(leaf), wanted));
  CHECK(bit_equal(leaf.value(), x));
}

TEST_CASE("[P06] ReversibleBlock is a wrapper around a coupling that is chosen by name", "[P06]") {
  const Tensor x = uniform({2, 10, 8, 8}, 1);
  const auto F = conv3x3(5, 5);
  const auto G = conv3x3(5, 5);
  ReversibleBlock additive(F, G);
  ReversibleBlock affine(F, G, {.coupling = "affine", .adapter = adapter<AffineAdapterNaive>()});
  CHECK(std::dynamic_pointer_cast<AdditiveCoupling>(additive.fn()) != nullptr);
  CHECK(std::dynamic_pointer_cast<AffineCoupling>(affine.fn()) != nullptr);
  AdditiveCoupling plain_additive(F, G);
  AffineCoupling plain_affine(F, G, adapter<AffineAdapterNaive>());
  for (const bool inverse : {false, true}) {
    CHECK(bit_equal(run(additive, x, inverse).value(), run(plain_additive, x, inverse).value()));
    CHECK(bit_equal(run(affine, x, inverse).value(), run(plain_affine, x, inverse).value()));
  }
  CHECK(ReversibleBlock(F).parameters().size() == 4);  // G is a copy
  CHECK(std::dynamic_pointer_cast<ReversibleBlock>(additive.clone()) != nullptr);
  CHECK(is_invertible_module(additive, x.shape(), {.atol = 1e-5}));
}

TEST_CASE("[P06] ReversibleBlock keeps what it is asked to keep and trains under every implementation",
          "[P06]") {
  const Tensor x = uniform({2, 10, 8, 8}, 1, DType::f64);
  for (const std::string name : {"additive", "affine"}) {
    const auto F = conv3x3(5, 5);
    F->to(DType::f64);
    const auto plain = create_coupling(F, nullptr, name, adapter<AffineAdapterNaive>());
    for (const bool inverse : {false, true}) {
      const Tensors wanted = gradients_through(*plain, x, inverse);
      for (const int implementation : {-1, 0, 1}) {
        for (const bool keep : {false, true}) {
          ReversibleBlock block(F, nullptr,
                                {.coupling = name,
                                 .keep_input = keep != inverse,
                                 .keep_input_inverse = keep == inverse,
                                 .implementation_fwd = implementation,
                                 .implementation_bwd = implementation,
                                 .adapter = adapter<AffineAdapterNaive>()});
          CHECK(releases(block, x, false) == !(keep != inverse));
          CHECK(releases(block, x, true) == !(keep == inverse));
          CHECK(largest_difference(gradients_through(block, x, inverse), wanted) < kSameInF64);
        }
      }
    }
  }
}

TEST_CASE("[P06] ReversibleBlock's advice for implementation -1 can be queried", "[P06]") {
  using Warnings = std::vector<std::string>;
  const std::string forward = "implementation_fwd = -1 should go with keep_input = true, got false";
  const std::string inverse = "implementation_bwd = -1 should go with keep_input_inverse = true, got false";
  const auto F = conv3x3(5, 5);
  ReversibleBlock block(F);
  CHECK(block.warnings() == Warnings{forward, inverse});
  block.options().keep_input = true;
  CHECK(block.warnings() == Warnings{inverse});
  block.options().keep_input_inverse = true;
  CHECK(block.warnings().empty());
  CHECK(ReversibleBlock(F, nullptr, {.implementation_fwd = 0}).warnings() == Warnings{inverse});
  CHECK(ReversibleBlock(F, nullptr, {.implementation_bwd = 1}).warnings() == Warnings{forward});
  CHECK(ReversibleBlock(F, nullptr, {.implementation_fwd = 1, .implementation_bwd = 0}).warnings().empty());
}

TEST_CASE("[P06] an unknown coupling or implementation is a NotImplementedError", "[P06]") {
  // MemCNN refuses an implementation at its first use.
  const auto F = conv3x3(10, 10);
  const auto make = [&](const ReversibleBlockOptions& options) {
    return ReversibleBlock(F, nullptr, options);
  };
  const AffineAdapter naive = adapter<AffineAdapterNaive>();
  for (const auto& [name, class_name] :
       {std::pair("additive", "[AdditiveCoupling]"), std::pair("affine", "[AffineCoupling]")}) {
    check_throws<NotImplementedError>(
        [&, n = name] {
          make({.coupling = n, .implementation_fwd = -2, .implementation_bwd = 0, .adapter = naive});
        },
        std::string(class_name) + " implementation_fwd must be -1, 0 or 1, got -2");
    check_throws<NotImplementedError>(
        [&, n = name] {
          make({.coupling = n, .implementation_fwd = 0, .implementation_bwd = 2, .adapter = naive});
        },
        std::string(class_name) + " implementation_bwd must be -1, 0 or 1, got 2");
  }
  check_throws<NotImplementedError>([&] { make({.coupling = "unknown", .implementation_bwd = -2}); },
                                    "[create_coupling] coupling must be additive or affine, got unknown");
}

TEST_CASE("[P06] whoever uses ReversibleBlock is warned when compiling, and nobody else is", "[P06]") {
  const std::string warn = "-Wall -Wextra -Werror";
  CHECK(complaints_of("retrace::AdditiveCoupling* coupling;", warn).empty());
  CHECK_THAT(complaints_of("retrace::ReversibleBlock* block;", warn),
             Catch::Matchers::ContainsSubstring("use InvertibleModuleWrapper around a coupling"));
}

TEST_CASE("[P07] create_coupling makes an additive or an affine coupling by name", "[P07]") {
  const auto F = function([](const Var& x) { return x * 2.0; });
  const auto G = function([](const Var& x) { return x * 0.0; });
  const Tensor x = numbers({1, 2, 3, 4}, {1, 4});
  const auto forward = [&](const std::shared_ptr<Coupling>& coupling) {
    return coupling->forward(x).value().to_vector<double>();
  };
  const auto additive = create_coupling(F, G);
  CHECK(std::dynamic_pointer_cast<AdditiveCoupling>(additive) != nullptr);
  CHECK(forward(additive) == std::vector<double>{7, 10, 3, 4});
  CHECK(forward(create_coupling(F, G, "additive", adapter<AffineAdapterNaive>())) == forward(additive));

  const auto affine = create_coupling(F, G, "affine", [](const std::shared_ptr<Module>& f) {
    return scale_and_shift([f](const Var& v) { return Vars{(*f)(v) + 1.0, (*f)(v)}; });
  });
  CHECK(std::dynamic_pointer_cast<AffineCoupling>(affine) != nullptr);
  CHECK(forward(affine) == std::vector<double>{1 * 7 + 6, 2 * 9 + 8, 3, 4});
  const auto bare = create_coupling(scale_and_shift([](const Var& v) {
                                      return Vars{v, v};
                                    }),
                                    nullptr, "affine");
  CHECK(forward(bare) == std::vector<double>{6, 12, 24, 60});

  CHECK(create_coupling(F, G, "additive", nullptr, {.split_dim = 0})->split_dim() == 0);
  check_throws<NotImplementedError>(
      [&] { create_coupling(F, G, "multiplicative"); },
      "[create_coupling] coupling must be additive or affine, got multiplicative");
  check_throws<NotImplementedError>(
      [&] { create_coupling(F, G, "additive", nullptr, {.implementation_fwd = 3}); },
      "[AdditiveCoupling] implementation_fwd must be -1, 0 or 1, got 3");
}

namespace {

/// A module of two functions.
class TwoWay final : public InvertibleModule {
 public:
  using F = std::function<Var(const Var&)>;
  TwoWay(F forward, F inverse) : forward_(std::move(forward)), inverse_(std::move(inverse)) {}
  Var forward(const Var& x) override { return forward_(x); }
  Var inverse(const Var& y) override { return inverse_(y); }

 private:
  std::shared_ptr<Module> copy() const override { return std::make_shared<TwoWay>(*this); }
  F forward_;
  F inverse_;
};

}  // namespace

TEST_CASE("[P08] is_invertible_module takes one shape or several, any module, and looks into a wrapper",
          "[P08]") {
  const Shape shape{2, 10, 8, 8};
  const auto coupling = std::make_shared<AdditiveCoupling>(conv3x3(5, 5));
  CHECK(is_invertible_module(*coupling, shape));
  CHECK(is_invertible_module(InvertibleModuleWrapper(coupling), shape));
  CHECK(is_invertible_module(*coupling, std::vector<Shape>{{2, 5, 8, 8}, {2, 5, 8, 8}}));
  const Inverse join(std::make_shared<SplitChannels>(2));
  CHECK(is_invertible_module(join, {Shape{1, 2, 32, 32}, Shape{1, 1, 32, 32}}));
  CHECK_FALSE(is_invertible_module(join, shape));
  const InvertibilityReport plain = is_invertible_module(*conv3x3(10, 10), shape);
  CHECK_FALSE(plain);
  CHECK(plain.errors ==
        std::vector<std::string>{"the module has no inverse: it is not derived from InvertibleModule"});
}

TEST_CASE("[P08] is_invertible_module's tolerance, seed and element type", "[P08]") {
  const InvertibilityOptions options;
  CHECK(options.dtype == DType::f32);
  CHECK(options.atol == 1e-6);
  CHECK(options.random_seed == 42);

  std::vector<Tensor> seen;
  const auto watch = [&](double error) {
    return TwoWay(
        [&](const Var& x) {
          seen.push_back(x.value().clone(Tag::data));
          return x * 1.0;
        },
        [error](const Var& y) { return y + error; });
  };
  CHECK_FALSE(is_invertible_module(watch(1e-3), Shape{4, 4}));
  const InvertibilityReport report = is_invertible_module(watch(1e-3), Shape{4, 4}, {.atol = 1e-2});
  CHECK(report);
  CHECK(report.errors.empty());
  CHECK(std::abs(report.worst_error - 1e-3) <= 2 * unit_roundoff(DType::f32));  // x + 1e-3 and x below 1
  CHECK(seen.front().dtype() == DType::f32);
  for (const double v : seen.front().to_vector<double>()) CHECK((v >= 0 && v < 1));

  const auto first_input = [&](const InvertibilityOptions& o) {
    seen.clear();
    is_invertible_module(watch(0), Shape{4, 4}, o);
    return seen.front();
  };
  CHECK(first_input({.dtype = DType::f64}).dtype() == DType::f64);
  CHECK(bit_equal(first_input({.random_seed = 1}), first_input({.random_seed = 1})));
  CHECK_FALSE(bit_equal(first_input({.random_seed = 1}), first_input({})));
}

TEST_CASE("[P08] both x and y are compared", "[P08]") {
  const Shape shape{4, 4};
  const InvertibilityReport x_only =
      is_invertible_module(TwoWay([](const Var& x) { return x * 0.0 + 3.0; }, [](const Var& y) { return y; }),
                           shape, {.dtype = DType::f64});
  CHECK_FALSE(x_only);
  REQUIRE(x_only.errors.size() == 1);
  CHECK(x_only.errors.front().find("inverse(forward(x)): tensor 0 differs by up to") == 0);
  // x comes back within 9e-7, which forward makes a relative error of 4.5e-5.
  const InvertibilityReport y_only = is_invertible_module(
      TwoWay([](const Var& x) { return exp(x * 50.0); }, [](const Var& y) { return log(y) * 0.02 + 9e-7; }),
      shape, {.dtype = DType::f64});
  CHECK_FALSE(y_only);
  REQUIRE(y_only.errors.size() == 1);
  CHECK(y_only.errors.front().find("forward(inverse(y)): tensor 0 differs by up to") == 0);
  CHECK(is_invertible_module(
      TwoWay([](const Var& x) { return exp(x * 50.0); }, [](const Var& y) { return log(y) * 0.02; }), shape,
      {.dtype = DType::f64}));
}

TEST_CASE("[P08] the report holds errors and warnings", "[P08]") {
  const InvertibilityReport thrown = is_invertible_module(AdditiveCoupling(conv3x3(5, 5)), Shape{2, 9, 8, 8});
  CHECK_FALSE(thrown);
  CHECK(thrown.errors ==
        std::vector<std::string>{"[AdditiveCoupling] dimension 1 of x must exist and be even to be cut into "
                                 "two streams, got [2,9,8,8]"});
  const auto same = [](const Var& x) { return x; };
  const InvertibilityReport warned = is_invertible_module(TwoWay(same, same), Shape{2, 4});
  CHECK(warned);
  CHECK(warned.warnings ==
        std::vector<std::string>{
            "in forward, output 0 shares its bytes with an input, which will not be released",
            "in inverse, output 0 shares its bytes with an input, which will not be released"});
}
