#include "../../support/catch.h"
#include "../../support/random_tensor.h"
#include "../../support/throws.h"

#include <retrace/autograd/ops.h>
#include <retrace/autograd/tape.h>

using namespace retrace;
using namespace retrace::test;

namespace {

Tensor some(const Shape& shape) { return random_tensor(shape, DType::f32, 1); }

}  // namespace

TEST_CASE("results that are contiguous in x share its bytes", "[copy]") {
  Tape tape;
  const Var x = tape.watch(some({4, 6, 2}));
  const Counter counter;
  CHECK(reshape(x, {8, 6}).value().shares_storage(x.value()));
  CHECK(flatten(x).shape() == Shape{4, 12});
  CHECK(flatten(x, -2).shape() == Shape{4, 12});
  CHECK(flatten(x, 0).value().shares_storage(x.value()));
  CHECK(!x.value().storage().sliced());
  CHECK(slice(x, 0, 1, 3).value().shares_storage(x.value()));
  CHECK(x.value().storage().sliced());
  for (const Var& part : split(x, 2)) CHECK(part.value().shares_storage(x.value()));
  CHECK(counter.total() == 0);
  CHECK(tape.saved_bytes() == 0);
}

TEST_CASE("other parts are copies", "[copy]") {
  const Tensor x = some({4, 6});
  CHECK(!slice(x, 1, 0, 3).value().shares_storage(x));
  CHECK(!slice(x, 0, 0, 4, 2).value().shares_storage(x));
  CHECK(!split(x, 2, 1)[0].value().shares_storage(x));
  CHECK(!permute(x, {1, 0}).value().shares_storage(x));
  CHECK(!x.storage().sliced());
}

TEST_CASE("views keep the name of what made their bytes", "[copy]") {
  const Var y = exp(some({2, 2}));
  reshape(y, {4});
  slice(y, 0, 0, 1);
  CHECK(ledger().alive(Tag::activation).back().op == "exp");
}

TEST_CASE("split writes one gradient for all parts", "[copy]") {
  Tape tape;
  const Var x = tape.watch(some({2, 100, 8}));
  const Vars parts = split(x, {30, 70}, 1);
  CHECK(tape.size() == 1);
  const Counter counter(Tag::gradient);
  tape.backward(parts, {some({2, 30, 8}), some({2, 70, 8})});
  CHECK(counter.total() == 2 * 100 * 8 * 4);
  CHECK(bit_equal(slice(tape.grad(x), 1, 30, 100).value(), some({2, 70, 8})));
}

TEST_CASE("concatenate gives gradients to those who want one", "[copy]") {
  Tape tape;
  const Var x = tape.watch(some({2, 16}));
  const Var y = concatenate({some({2, 48}), x}, -1);
  const Counter counter(Tag::gradient);
  tape.backward(y, some({2, 64}));
  CHECK(counter.total() == 2 * 16 * 4);
}

TEST_CASE("concatenate undoes split", "[copy]") {
  const Tensor x = some({3, 5, 2});
  for (int dim = 0; dim < 3; ++dim) {
    const std::int64_t extent = x.shape()[dim];
    const Vars parts = split(x, std::vector<std::int64_t>{1, extent - 1}, dim);
    CHECK(bit_equal(concatenate(parts, dim).value(), x));
  }
}

TEST_CASE("integers are copied like any numbers", "[copy]") {
  const Tensor x = Tensor::from<std::int64_t>({0, 1, 2, 3, 4, 5}, {2, 3});
  CHECK(transpose(x, 0, 1).value().to_vector<int>() == std::vector<int>{0, 3, 1, 4, 2, 5});
  CHECK(slice(x, 1, 0, 3, 2).value().to_vector<int>() == std::vector<int>{0, 2, 3, 5});
}

TEST_CASE("reshape and flatten leave extents open and join a part of the dimensions", "[copy]") {
  const Var x = some({4, 6, 2});
  CHECK(reshape(x, {-1}).shape() == Shape{48});
  CHECK(reshape(x, {8, -1}).shape() == Shape{8, 6});
  CHECK(reshape(x, {2, -1, 3}).value().shares_storage(x.value()));
  CHECK(flatten(x, 0, 1).shape() == Shape{24, 2});
  CHECK(flatten(x, 0, -2).shape() == Shape{24, 2});
  CHECK(flatten(x, -2, -2).shape() == Shape{4, 6, 2});
}

TEST_CASE("a scalar has one dimension to flatten and to transpose, and none to cut", "[copy]") {
  Tape tape;
  const Var x = tape.watch(Tensor::full({}, 3, DType::f32));
  CHECK(transpose(x, 0, -1).shape() == Shape{});
  const Var y = flatten(x, 0);
  CHECK(y.shape() == Shape{1});
  tape.backward(y);
  CHECK(tape.grad(x).shape() == Shape{});
  CHECK(tape.grad(x).item() == 1);
  check_throws<ShapeError>([&] { return flatten(x); },
                           "[flatten] a dimension of x [] must be in [-1,1), got 1");
  check_throws<ShapeError>([&] { return slice(x, 0, 0, 1); },
                           "[slice] x must have at least 1 dimension, got []");
  check_throws<ShapeError>([&] { return split(x, 1); }, "[split] x must have at least 1 dimension, got []");
  check_throws<ShapeError>(
      [&] {
        return concatenate({x, x});
      },
      "[concatenate] x must have at least 1 dimension, got []");
}

TEST_CASE("copies say what does not fit", "[copy]") {
  const Tensor x = some({2, 5});
  check_throws<ShapeError>([&] { return reshape(x, {3}); },
                           "[reshape] 10 elements must stay as many, got [3] for [2,5]");
  check_throws<ShapeError>(
      [&] {
        return permute(x, {0, 0});
      },
      "[permute] dims must name each dimension of x [2,5] once, got (0, 0)");
  check_throws<ShapeError>([&] { return permute(x, {0}); },
                           "[permute] dims must name each dimension of x [2,5] once, got (0)");
  check_throws<ShapeError>([&] { return transpose(x, 0, 2); },
                           "[transpose] a dimension of x [2,5] must be in [-2,2), got 2");
  check_throws<ShapeError>([&] { return split(x, 2, 1); },
                           "[split] dimension 1 of x [2,5] must divide into 2 equal parts");
  check_throws<ShapeError>([&] { return split(x, 0, 1); },
                           "[split] dimension 1 of x [2,5] must divide into 0 equal parts");
  check_throws<ShapeError>(
      [&] {
        return split(x, {2, 2}, 1);
      },
      "[split] the sizes must be at least 1 and add up to dimension 1 of x [2,5], got (2, 2)");
  check_throws<ShapeError>(
      [&] {
        return split(x, {6, -1}, -1);
      },
      "[split] the sizes must be at least 1 and add up to dimension 1 of x [2,5], got (6, -1)");
  check_throws<ShapeError>(
      [&] { return slice(x, 1, 2, 6); },
      "[slice] a part of dimension 1 of x [2,5] must satisfy 0 <= begin < end <= 5, got [2,6)");
  check_throws<ArgumentError>([&] { return slice(x, 1, 0, 5, 0); },
                              "[slice] the step must be at least 1, got 0");
  check_throws<ShapeError>([] { return concatenate({}); },
                           "[concatenate] there must be at least one x, got none");
  check_throws<ShapeError>(
      [&] {
        return concatenate({x, some({2, 4})});
      },
      "[concatenate] the xs must agree but in dimension 0, got [2,5], [2,4]");
  check_throws<ShapeError>(
      [&] {
        return concatenate({x, some({5})}, 1);
      },
      "[concatenate] the xs must agree but in dimension 1, got [2,5], [5]");
  check_throws<DTypeError>(
      [&] {
        return concatenate({x, Tensor::zeros({2, 5}, DType::f64)});
      },
      "[concatenate] the xs must have one element type, got f32 and f64");
}
