#include "../../support/catch.h"
#include "../../support/random_tensor.h"
#include "../../support/rounding.h"
#include "../../support/saved.h"
#include "../../support/throws.h"

#include <retrace/autograd/ops.h>
#include <retrace/autograd/tape.h>

#include <cmath>

using namespace retrace;
using namespace retrace::test;

namespace {

using Flags = std::vector<bool>;

Tensor some(const Shape& shape, DType dtype = DType::f64) { return random_tensor(shape, dtype, 1); }

}  // namespace

TEST_CASE("the groups may be all channels or each, and the batch does not matter", "[group_norm]") {
  const Tensor x = some({3, 6, 5});
  const Tensor whole = layer_norm(x.reshape({3, 30}), {30}).value();
  CHECK(roundings(group_norm(x, 1).value(), whole) <= 30);  // of sums of 30
  const Tensor each = layer_norm(x, {5}).value();
  CHECK(roundings(group_norm(x, 6).value(), each) <= 30);
  CHECK(bit_equal(group_norm(x.slice(1, 2), 2).value(), group_norm(x, 2).value().slice(1, 2)));
}

TEST_CASE("a normalised row far from 0 keeps its digits", "[group_norm]") {
  Tensor x = some({1, 4096}, DType::f32);
  for (float& v : x.mutable_values<float>()) v += 1e4F;
  const Tensor wide = x.to(DType::f64, Tag::data);
  // The sums are exact enough that what is left is the mean's own rounding to f32: one of 1e4 is 1e4 of the
  // largest deviation, which is 1.
  CHECK(roundings(layer_norm(x, {4096}).value(), layer_norm(wide, {4096}).value()) <= 1.01e4);
}

TEST_CASE("norms save what their wanted gradients need", "[group_norm]") {
  const Tensor x = some({4, 6, 2});
  Parameter gamma(Tensor::full({6}, 2, DType::f64));
  Parameter beta(Tensor::zeros({6}, DType::f64));
  Tape tape;
  SECTION("all are wanted") {
    group_norm(tape.watch(x), 3, gamma, beta);
    CHECK(saved_flags(tape) == Flags{true, true, true, true});
    CHECK(tape.saved_bytes() == 8 * (4 * 6 * 2 + 6 + 2 * 4 * 3));
  }
  SECTION("without gamma") {
    const Var v = tape.watch(x);
    const Var y = group_norm(v, 3, {}, beta);
    CHECK(saved_flags(tape) == Flags{true, false, true, true});
    tape.backward(y, some(y.shape()));
    CHECK(tape.grad(v).defined());
    CHECK(beta.has_grad());
  }
  SECTION("gamma alone is wanted") {
    beta.set_requires_grad(false);
    const Var y = group_norm(x, 3, gamma, beta);
    tape.backward(y, some(y.shape()));
    CHECK(gamma.has_grad());
    CHECK_FALSE(beta.has_grad());
  }
  SECTION("beta alone is wanted") {
    gamma.set_requires_grad(false);
    const Var y = group_norm(x, 3, gamma, beta);
    CHECK(tape.saved_bytes() == 0);
    tape.backward(y, Tensor::full(y.shape(), 1, DType::f64));
    CHECK(beta.grad().to_vector<double>() == std::vector<double>(6, 8));
  }
}

TEST_CASE("group_norm says what does not fit", "[group_norm]") {
  const Tensor x = some({2, 6, 3});
  check_throws<ArgumentError>([&] { return group_norm(x, 4); },
                              "[group_norm] num_groups must divide the 6 channels of x [2,6,3], got 4");
  check_throws<ArgumentError>([&] { return group_norm(x, 0); },
                              "[group_norm] num_groups must divide the 6 channels of x [2,6,3], got 0");
  check_throws<ArgumentError>([&] { return group_norm(x, 2, {}, {}, 0); },
                              "[group_norm] eps must be above 0, got 0");
  check_throws<ShapeError>([&] { return group_norm(some({6}), 2); },
                           "[group_norm] x must be [N,C,...], got [6]");
  check_throws<ShapeError>([&] { return group_norm(x, 2, some({3})); },
                           "[group_norm] gamma must be [6], one for each channel, got [3]");
  check_throws<ShapeError>(
      [&] {
        return group_norm(x, 2, {}, some({6, 1}));
      },
      "[group_norm] beta must be [6], one for each channel, got [6,1]");
  check_throws<DTypeError>([&] { return group_norm(x, 2, some({6}, DType::f32)); },
                           "[group_norm] gamma must be f64 as x is, got f32");
  check_throws<DTypeError>(
      [&] {
        return group_norm(Tensor::zeros({2, 6}, DType::i64), 2);
      },
      "[group_norm] x must be f32 or f64, got i64");
}

TEST_CASE("layer_norm says what does not fit", "[group_norm]") {
  const Tensor x = some({2, 3, 4});
  check_throws<ShapeError>(
      [&] { return layer_norm(x, {3}); },
      "[layer_norm] x must end in the normalized_shape [3] of at least 1 dimension, got [2,3,4]");
  check_throws<ShapeError>([&] { return layer_norm(x, Shape{}); },
                           "[layer_norm] x must end in the normalized_shape [] of at least 1 dimension, got "
                           "[2,3,4]");
  check_throws<ShapeError>(
      [&] {
        return layer_norm(some({4}), {3, 4});
      },
      "[layer_norm] x must end in the normalized_shape [3,4] of at least 1 dimension, got [4]");
  check_throws<ShapeError>(
      [&] {
        return layer_norm(x, {3, 4}, some({4}));
      },
      "[layer_norm] gamma must be [3,4] as normalized_shape is, got [4]");
  check_throws<DTypeError>([&] { return layer_norm(x, {4}, some({4}), some({4}, DType::f32)); },
                           "[layer_norm] beta must be f64 as x is, got f32");
  check_throws<ArgumentError>([&] { return layer_norm(x, {4}, {}, {}, -1); },
                              "[layer_norm] eps must be above 0, got -1");
}

TEST_CASE("values whose squares f32 does not hold are normalised", "[group_norm]") {
  const Tensor x = Tensor::from<float>({1e20F, 1e20F, 0}, {1, 3});
  const auto run = [&](DType dtype) {
    Tape tape;
    const Var leaf = tape.watch(x.to(dtype, Tag::data));
    const Var y = layer_norm(leaf, {3});
    tape.backward(y, Tensor::from<double>({1, -2, 3}, {1, 3}).to(dtype, Tag::data));
    return Tensors{y.value(), tape.grad(leaf), group_norm(x.to(dtype, Tag::data), 1).value()};
  };
  const Tensors exact = run(DType::f64);
  CHECK(roundings(exact[0], {std::sqrt(0.5), std::sqrt(0.5), -std::sqrt(2)}) <= 8);
  const Tensors got = run(DType::f32);
  for (std::size_t i = 0; i < got.size(); ++i) CHECK(roundings(got[i], exact[i]) <= 12);
}

TEST_CASE("a group of one value has no gradient, whatever eps is", "[group_norm]") {
  const DType dtype = GENERATE(DType::f32, DType::f64);
  Tape tape;
  const Var x = tape.watch(some({100, 1}, dtype));
  const Var gamma = Tensor::full({1}, 1.2345, dtype);
  tape.backward(layer_norm(x, {1}, gamma, {}, 1e-12), random_tensor({100, 1}, dtype, 2));
  CHECK(tape.grad(x).to_vector<double>() == std::vector<double>(100, 0));
}
