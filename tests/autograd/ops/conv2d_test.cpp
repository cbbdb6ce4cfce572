#include "../../support/catch.h"
#include "../../support/random_tensor.h"
#include "../../support/rounding.h"
#include "../../support/saved.h"

#include <retrace/autograd/autocast.h>
#include <retrace/autograd/ops.h>
#include <retrace/autograd/tape.h>
#include <retrace/core/error.h>
#include <retrace/core/kernels.h>
#include <retrace/core/memory.h>

using namespace retrace;
using namespace retrace::test;

namespace {

using Flags = std::vector<bool>;

Tensor some(const Shape& shape, DType dtype = DType::f32) { return random_tensor(shape, dtype, 1); }

}  // namespace

TEST_CASE("conv2d saves x only for w's gradient and w only for x's", "[conv2d]") {
  const Tensor x = some({1, 2, 4, 4});
  Parameter w(some({3, 2, 3, 3}));
  Parameter bias(some({3}));
  Tape tape;
  SECTION("all are wanted") {
    conv2d(tape.watch(x), w, bias);
    CHECK(saved_flags(tape) == Flags{true, true});
  }
  SECTION("x is a constant, as the first layer's") {
    conv2d(x, w, bias);
    CHECK(saved_flags(tape) == Flags{true, false});
  }
  SECTION("w is frozen") {
    w.set_requires_grad(false);
    conv2d(tape.watch(x), w, bias);
    CHECK(saved_flags(tape) == Flags{false, true});
  }
  SECTION("without a bias") {
    const Var y = conv2d(x, w);
    tape.backward(y, some(y.shape()));
    CHECK(w.has_grad());
  }
}

TEST_CASE("conv2d's gradients are gradients in the ledger, and nothing else stays", "[conv2d]") {
  const Tensor x = some({2, 3, 8, 8});
  Parameter w(some({4, 3, 3, 3}));
  Parameter bias(some({4}));
  const std::int64_t before = ledger().live(kStepTags);
  {
    Tape tape;
    const Var watched = tape.watch(x);
    const Var y = conv2d(watched, w, bias, {.padding = 1});
    CHECK(ledger().live(kStepTags) - before == y.value().bytes());
    tape.backward(y, some(y.shape()));
    CHECK(tape.grad(watched).storage().tag() == Tag::gradient);
    CHECK(w.grad().storage().tag() == Tag::parameter_gradient);
    CHECK(bias.grad().shape() == Shape{4});
  }
  CHECK(ledger().live(kStepTags) == before);
}

TEST_CASE("conv2d adds its gradient to the one that is there, in its memory where it can", "[conv2d]") {
  const Shape shape{2, 8, 8, 8};
  Parameter w(random_tensor({8, 8, 3, 3}, DType::f32, 2));
  const auto gradient = [&](bool onto) {
    Tape tape;
    const Var x = tape.watch(some(shape));
    const Var h = x * 2;
    const Var y = conv2d(h, w, {}, {.padding = 1});
    const Var z = h * 3;  // its gradient comes first
    if (onto)
      tape.backward({z, y}, {some(shape), some(shape)});
    else
      tape.backward(y, some(shape));
    return tape.take_grad(x);
  };
  const Tensor expected = (Var(some(shape)) * 6 + Var(gradient(false))).value();
  const Counter counter(Tag::gradient);
  const Tensor sum = gradient(true);
  CHECK(roundings(sum, expected) <= 4);
  CHECK(counter.total() < 4 * sum.bytes());  // of z, h, x and the small ones of w; none for a sum
}

TEST_CASE("conv2d says what does not fit", "[conv2d]") {
  const Tensor x = some({2, 16, 8, 8});
  CHECK_THROWS_WITH(conv2d(x, some({32, 8, 3, 3})), "[conv2d] x has 16 channels but w [32,8,3,3] expects 8");
  CHECK_THROWS_AS(conv2d(x, some({32, 8, 3, 3})), ShapeError);
  CHECK_THROWS_WITH(conv2d(x, some({32, 16, 3, 3}, DType::f64)), "[conv2d] w must be f32 as x is, got f64");
  CHECK_THROWS_WITH(conv2d(x, some({32, 16, 3, 3}), some({32}, DType::f64)),
                    "[conv2d] bias must be f32 as x is, got f64");
  CHECK_THROWS_WITH(conv2d(x, some({32, 16, 3, 3}), some({1, 32})),
                    "[conv2d] bias must be [32], one for each channel, got [1,32]");
  CHECK_THROWS_AS(conv2d(Tensor::zeros({1, 1, 3, 3}, DType::u8), Tensor::zeros({1, 1, 3, 3}, DType::u8)),
                  DTypeError);
  CHECK_THROWS_AS(conv2d(Var(), some({32, 16, 3, 3})), ArgumentError);
}

TEST_CASE("conv2d takes a residual that it can add to its result", "[conv2d]") {
  const Tensor x = some({1, 2, 4, 4});
  Parameter w(some({3, 2, 3, 3}));
  const Conv2dOptions options{.padding = 1};
  const Tensor alone = conv2d(x, w.value(), {}, options).value();
  Tensor sum = like(alone);
  kernel::add(some(alone.shape()), alone, sum);
  const auto onto = [&](Var& residual, Sign sign) { return conv2d_onto(residual, sign, x, w, {}, options); };

  SECTION("a constant that nobody else holds is written over") {
    Var residual = some(alone.shape());
    const void* memory = residual.value().data<float>();
    const Tensor y = onto(residual, Sign::plus).value();
    CHECK_FALSE(residual.defined());
    CHECK(y.data<float>() == memory);
    CHECK(bit_equal(y, sum));
  }
  SECTION("another one stays as it is") {
    const Tensor held = some(alone.shape());
    Var residual = held;
    CHECK(bit_equal(onto(residual, Sign::plus).value(), sum));
    CHECK_FALSE(residual.defined());
    CHECK(bit_equal(held, some(alone.shape())));
  }
  SECTION("one on a tape gets its gradient") {
    Tape tape;
    const Var leaf = tape.watch(some(alone.shape()));
    Var residual = leaf;
    const Var y = onto(residual, Sign::plus);
    CHECK_FALSE(residual.defined());
    CHECK(tape.size() == 1);
    tape.backward(y, some(y.shape()));
    CHECK(bit_equal(tape.grad(leaf), some(y.shape())));
    CHECK(w.has_grad());
  }
  SECTION("it is subtracted where nothing is recorded") {
    Var residual = some(alone.shape());
    kernel::sub(residual.value(), alone, sum);
    CHECK(bit_equal(onto(residual, Sign::minus).value(), sum));
  }
}

TEST_CASE("a residual that conv2d does not take stays", "[conv2d]") {
  const Tensor x = some({1, 2, 4, 4});
  Parameter w(some({3, 2, 3, 3}));
  const auto stays = [&](Var residual, Sign sign) {
    const Var y = conv2d_onto(residual, sign, x, w, {}, {.padding = 1});
    return residual.defined() && bit_equal(y.value(), conv2d(x, w, {}, {.padding = 1}).value());
  };
  CHECK(stays({}, Sign::plus) == false);  // there is none
  CHECK(stays(some({1, 3, 1, 1}), Sign::plus));
  CHECK(stays(some({1, 3, 4, 4}, DType::f64), Sign::plus));
  const Tape tape;
  CHECK(stays(some({1, 3, 4, 4}), Sign::minus));
  const Autocast autocast;
  CHECK(stays(some({1, 3, 4, 4}, DType::bf16), Sign::plus));
}
