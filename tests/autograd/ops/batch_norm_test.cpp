#include "../../support/catch.h"
#include "../../support/random_tensor.h"
#include "../../support/rounding.h"
#include "../../support/saved.h"

#include <retrace/autograd/ops.h>
#include <retrace/autograd/tape.h>
#include <retrace/core/error.h>
#include <retrace/core/memory.h>

#include <cmath>

using namespace retrace;
using namespace retrace::test;

namespace {

using Flags = std::vector<bool>;

struct Layer {
  explicit Layer(std::int64_t channels = 3, DType dtype = DType::f64)
      : gamma(Tensor::full({channels}, 2, dtype)),
        beta(Tensor::zeros({channels}, dtype)),
        mean(Tensor::zeros({channels}, dtype)),
        var(Tensor::full({channels}, 1, dtype)) {}

  Var operator()(const Var& x, const BatchNormOptions& options = {}) {
    return batch_norm(x, gamma, beta, mean, var, options);
  }

  Parameter gamma, beta;
  Tensor mean, var;
};

Tensor some(const Shape& shape, DType dtype = DType::f64) { return random_tensor(shape, dtype, 1); }

}  // namespace

TEST_CASE("batch_norm moves its running statistics as PyTorch does", "[batch_norm]") {
  Layer layer(1);
  layer(Tensor::from<double>({1, 2, 3, 6}, {4, 1}), {.momentum = 0.5});
  CHECK(layer.mean.item() == 1.5);  // 0.5 * 0 + 0.5 * 3
  // 0.5 * 1 + 0.5 * (4 + 1 + 0 + 9) / 3
  CHECK(roundings(layer.var.item(), 0.5 + 7.0 / 3, DType::f64) <= 4);
}

TEST_CASE("batch_norm leaves its running statistics alone in evaluation and in a replay", "[batch_norm]") {
  Layer layer;
  const Tensor x = some({4, 3, 2, 2});
  const std::uint64_t content = layer.mean.storage().content();
  layer(x, {.training = false});
  Tensor replayed;
  {
    const Recomputing replay;
    replayed = layer(x).value();
  }
  CHECK(layer.mean.to_vector<double>() == std::vector<double>(3, 0));
  CHECK(layer.var.to_vector<double>() == std::vector<double>(3, 1));
  CHECK(layer.mean.storage().content() == content);
  CHECK(bit_equal(layer(x).value(), replayed));
  CHECK(layer.mean.storage().content() != content);
}

TEST_CASE("batch_norm adds its gradient to the one that is there as it writes", "[batch_norm]") {
  const Shape shape{4, 3, 8, 8};
  Layer layer;
  const Tensor dy = random_tensor(shape, DType::f64, 2);
  const Tensor before = random_tensor(shape, DType::f64, 3);
  const auto gradient = [&](bool onto) {
    Tape tape;
    const Var x = tape.watch(some(shape));
    const Var y = layer(x);
    if (onto)
      tape.backward({x, y}, {before, dy});
    else
      tape.backward(y, dy);
    return tape.take_grad(x);
  };
  const Tensor expected = (Var(before) + Var(gradient(false))).value();
  const Counter gradients(Tag::gradient);
  const Tensor sum = gradient(true);
  CHECK(bit_equal(sum, expected));
  CHECK(gradients.total() < 2 * sum.bytes());  // no tensor for the sum beside the gradient's
}

TEST_CASE("batch_norm saves what its wanted gradients need", "[batch_norm]") {
  Layer layer;
  const Tensor x = some({4, 3, 2, 2});
  const bool training = GENERATE(true, false);
  const BatchNormOptions options{.training = training};
  Tape tape;
  SECTION("all are wanted") {
    layer(tape.watch(x), options);
    CHECK(saved_flags(tape) == Flags{true, true, true, true, false});
  }
  SECTION("x is a constant") {
    layer(x, options);
    CHECK(saved_flags(tape) == Flags{true, false, true, true, false});
  }
  SECTION("gamma is frozen") {
    layer.gamma.set_requires_grad(false);
    const Var watched = tape.watch(x);
    const Var y = layer(watched, options);
    CHECK(saved_flags(tape) == Flags{training, true, true, true, false});
    tape.backward(y, some(y.shape()));
    CHECK(tape.grad(watched).defined());
    CHECK(!layer.gamma.has_grad());
    CHECK(layer.beta.has_grad());
  }
  SECTION("beta alone is wanted") {
    layer.gamma.set_requires_grad(false);
    const Var y = layer(x, options);
    CHECK(saved_flags(tape) == Flags{false, false, true, true, false});
    tape.backward(y, some(y.shape()));
    CHECK(layer.beta.has_grad());
  }
}

TEST_CASE("batch_norm in evaluation may be followed by training on the same tape", "[batch_norm]") {
  Layer layer;
  const Tensor x = some({4, 3, 2, 2});
  Tape tape;
  const Var watched = tape.watch(x);
  const Var y = layer(watched, {.training = false});
  layer(x);
  CHECK_NOTHROW(tape.backward(y, some(y.shape())));
}

TEST_CASE("batch_norm says what does not fit", "[batch_norm]") {
  Layer layer;
  CHECK_THROWS_WITH(layer(some({2, 3, 4})), "[batch_norm] x must be [N,C,H,W] or [N,C], got [2,3,4]");
  CHECK_THROWS_AS(layer(some({2, 3, 4})), ShapeError);
  CHECK_THROWS_WITH(layer(some({2, 4})), "[batch_norm] gamma must be [4], one for each channel, got [3]");
  CHECK_THROWS_WITH(layer(some({2, 3}, DType::f32)), "[batch_norm] gamma must be f32 as x is, got f64");
  CHECK_THROWS_AS(layer(some({2, 3}, DType::f32)), DTypeError);
  CHECK_THROWS_WITH(layer(some({2, 3}), {.eps = 0}), "[batch_norm] eps must be above 0, got 0");
  CHECK_THROWS_AS(layer(some({2, 3}), {.eps = 0}), ArgumentError);
  CHECK_THROWS_WITH(layer(some({1, 3, 1, 1})),
                    "[batch_norm] training needs more than one value for each channel, got [1,3,1,1]");
  CHECK_NOTHROW(layer(some({1, 3, 1, 1}), {.training = false}));
  CHECK_THROWS_AS(layer(Tensor::zeros({2, 3}, DType::i32)), DTypeError);

  layer.beta = Parameter(some({2}));
  CHECK_THROWS_WITH(layer(some({2, 3})), "[batch_norm] beta must be [3], one for each channel, got [2]");
  Layer other;
  other.var = some({3, 1});
  CHECK_THROWS_WITH(other(some({2, 3})),
                    "[batch_norm] running_var must be [3], one for each channel, got [3,1]");
  other.mean = Tensor();
  CHECK_THROWS_WITH(other(some({2, 3})),
                    "[batch_norm] running_mean must be defined, got an undefined tensor");
}

TEST_CASE("batch_norm_relu is relu of batch_norm, bit for bit", "[batch_norm]") {
  const Shape shape = GENERATE(Shape{3, 4, 8, 8}, Shape{3, 5, 3, 7}, Shape{20, 6});
  const DType dtype = GENERATE(DType::f32, DType::f64);
  const BatchNormOptions options{.training = GENERATE(true, false)};
  CAPTURE(shape, name_of(dtype), options.training);
  const auto run = [&](const auto& op) {
    Layer layer(shape[1], dtype);
    Tape tape;
    const Var x = tape.watch(some(shape, dtype));
    const Var y = op(layer, x);
    tape.backward(y, random_tensor(shape, dtype, 7));
    return Tensors{y.value(), tape.grad(x), layer.gamma.grad(), layer.beta.grad(), layer.mean, layer.var};
  };
  const Tensors apart = run([&](Layer& layer, const Var& x) { return relu(layer(x, options)); });
  const Tensors fused = run([&](Layer& layer, const Var& x) {
    return batch_norm_relu(x, layer.gamma, layer.beta, layer.mean, layer.var, options);
  });
  for (std::size_t i = 0; i < apart.size(); ++i) CHECK(bit_equal(fused[i], apart[i]));
}

TEST_CASE("batch_norm_relu keeps x and one bit an element", "[batch_norm]") {
  Layer layer(3, DType::f32);
  const Tensor x = some({4, 3, 8, 8}, DType::f32);
  const auto op = [&](const Var& v) {
    return batch_norm_relu(v, layer.gamma, layer.beta, layer.mean, layer.var);
  };
  Tape tape;
  {
    const NoTape no_tape;
    const Counter counter(Tag::saved);
    op(x);
    CHECK(counter.total() == 2 * 64);  // mean and rstd
  }
  op(tape.watch(x));
  CHECK(saved_flags(tape) == Flags{true, true, true, true, true});
  CHECK(tape.saved()[0].tensor.shares_storage(x));
  CHECK(tape.saved()[4].tensor.shape() == Shape{4 * 3 * 8 * 8 / 8});
}

TEST_CASE("batch_norm and relu write their gradient over a dy that nobody else holds", "[batch_norm]") {
  Layer layer;
  layer.gamma.set_requires_grad(false);
  layer.beta.set_requires_grad(false);
  Tape tape;
  const Var x = tape.watch(some({4, 3, 8, 8}));
  const Var y = 2 * relu(layer(batch_norm_relu(x, layer.gamma, layer.beta, layer.mean, layer.var)));
  const Tensor dy = Tensor::full(y.shape(), 1, DType::f64);
  const Counter counter(Tag::gradient);
  tape.backward(y, dy);
  CHECK(dy.to_vector<double>() == std::vector<double>(4 * 3 * 8 * 8, 1));
  CHECK(counter.total() == 4 * 3 * 8 * 8 * 8);  // the gradient of the product alone
}

TEST_CASE("batch_norm_relu says what does not fit in its own name", "[batch_norm]") {
  Layer layer;
  CHECK_THROWS_WITH(batch_norm_relu(some({2, 3, 4}), layer.gamma, layer.beta, layer.mean, layer.var),
                    "[batch_norm_relu] x must be [N,C,H,W] or [N,C], got [2,3,4]");
}

TEST_CASE("batch_norm of values whose squares f32 does not hold", "[batch_norm]") {
  Layer layer(1, DType::f32);
  const Var y = layer(Tensor::from<float>({1e20F, 1e20F, 0}, {3, 1}));
  CHECK(roundings(y.value(), {2 * std::sqrt(0.5), 2 * std::sqrt(0.5), -2 * std::sqrt(2)}) <= 8);
  CHECK(roundings(layer.mean.item(), 0.1 * 2e20 / 3, DType::f32) <= 4);
}

TEST_CASE("batch_norm's running mean of an infinite value is infinite", "[batch_norm]") {
  const DType dtype = GENERATE(DType::f32, DType::f64);
  const double infinity = std::numeric_limits<double>::infinity();
  Layer layer(1, dtype);
  layer(Tensor::from<double>({infinity, 0}, {2, 1}).to(dtype, Tag::data));
  CHECK(layer.mean.item() == infinity);
  CHECK(std::isnan(layer.var.item()));
}

TEST_CASE("batch_norm_relu lets a NaN's gradient pass, as relu does", "[batch_norm]") {
  const Shape shape = GENERATE(Shape{2, 3, 8, 8}, Shape{2, 3, 3, 3});  // with a mask in vectors, and apart
  const DType dtype = GENERATE(DType::f32, DType::f64);
  CAPTURE(shape, name_of(dtype));
  Layer layer(3, dtype);
  Tape tape;
  const Var x = tape.watch(Tensor::full(shape, std::numeric_limits<double>::quiet_NaN(), dtype));
  tape.backward(batch_norm_relu(x, layer.gamma, layer.beta, layer.mean, layer.var, {.training = false}),
                Tensor::full(shape, 1, dtype));
  CHECK(roundings(tape.grad(x).to_vector<double>()[0], 2 / std::sqrt(1 + 1e-5), dtype) <= 6);
}
