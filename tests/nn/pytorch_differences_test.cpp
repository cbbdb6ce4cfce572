// One case for each row of docs/reference/pytorch.md, named after it; tests/project/reference_test.py
// compares the names.
#include "../support/catch.h"
#include "../support/random_tensor.h"
#include "../support/throws.h"

#include <retrace/autograd/autocast.h>
#include <retrace/autograd/ops.h>
#include <retrace/autograd/tape.h>
#include <retrace/core/error.h>
#include <retrace/nn/batch_norm.h>
#include <retrace/nn/clip_grad.h>
#include <retrace/nn/init.h>
#include <retrace/nn/optimizer.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <type_traits>

using namespace retrace;
using namespace retrace::test;

namespace {

Tensor some(const Shape& shape, DType dtype = DType::f32) { return Tensor::ones(shape, dtype); }

Tensor labels(const Shape& shape) { return Tensor::zeros(shape, DType::i64); }

}  // namespace

TEST_CASE("differs from PyTorch: an operation of tensors gives a Var", "[pytorch]") {
  const Tensor a = some({});
  static_assert(std::is_same_v<decltype(a + a), Var>);
  CHECK((a + a).constant());
  CHECK((a + a).value().to_vector<float>() == std::vector<float>{2});
  CHECK((a + a).item() == 2);
}

TEST_CASE("differs from PyTorch: no norms, losses, softmax and embeddings of bf16 and f16", "[pytorch]") {
  for (const DType dtype : {DType::bf16, DType::f16}) {
    const Tensor x = some({2, 4}, dtype);
    Tensor running = Tensor::zeros({4}, DType::f32);
    CHECK_THROWS_AS(layer_norm(x, {4}), DTypeError);
    CHECK_THROWS_AS(group_norm(x, 2), DTypeError);
    CHECK_THROWS_AS(batch_norm(x, {}, {}, running, running), DTypeError);
    CHECK_THROWS_AS(softmax(x), DTypeError);
    CHECK_THROWS_AS(log_softmax(x), DTypeError);
    CHECK_THROWS_AS(cross_entropy(x, labels({2})), DTypeError);
    CHECK_THROWS_AS(binary_cross_entropy_with_logits(x, x), DTypeError);
    CHECK_THROWS_AS(embedding(labels({2}), x), DTypeError);
    CHECK_THROWS_AS(Tensor::rand({2}, dtype), DTypeError);
    Tensor w = x.clone(Tag::parameter);
    CHECK_THROWS_AS(init::normal(w), DTypeError);
    Parameter p(w);
    p.accumulate_grad(x.clone(Tag::gradient));
    CHECK_THROWS_AS(SGD({&p}).step(), DTypeError);

    CHECK(layer_norm(cast(x, DType::f32), {4}).dtype() == DType::f32);
    const Autocast scope(dtype);
    CHECK(softmax(x).dtype() == DType::f32);
    CHECK(cross_entropy(x, labels({2})).dtype() == DType::f32);
  }
}

TEST_CASE("differs from PyTorch: types do not mix", "[pytorch]") {
  CHECK_THROWS_AS(some({2}) + some({2}, DType::f64), DTypeError);
  CHECK_THROWS_AS(concatenate({some({2}), some({2}, DType::f64)}), DTypeError);
  CHECK_THROWS_AS(matmul(some({2, 2}), some({2, 2}, DType::bf16)), DTypeError);
  const Autocast scope(DType::bf16);
  CHECK((some({2}) + some({2}, DType::bf16)).dtype() == DType::f32);
}

TEST_CASE("differs from PyTorch: integers are for labels and indices", "[pytorch]") {
  CHECK_THROWS_AS(labels({2}) + labels({2}), DTypeError);
  CHECK_THROWS_AS(sum(labels({2})), DTypeError);
  CHECK_THROWS_AS(argmax(labels({2})), DTypeError);
  CHECK(concatenate({labels({2}), labels({1})}).dtype() == DType::i64);
  CHECK(transpose(labels({2, 3}), 0, 1).shape() == Shape{3, 2});
}

TEST_CASE("differs from PyTorch: no empty tensors", "[pytorch]") {
  CHECK_THROWS_AS(Tensor::zeros({0}, DType::f32), ShapeError);
  CHECK_THROWS_AS(Tensor::arange(0), ArgumentError);
  CHECK_THROWS_AS(slice(some({2}), 0, 1, 1), ShapeError);
}

TEST_CASE("differs from PyTorch: at most 8 dimensions", "[pytorch]") {
  CHECK(some({1, 1, 1, 1, 1, 1, 1, 1}).numel() == 1);
  CHECK_THROWS_AS(some({1, 1, 1, 1, 1, 1, 1, 1, 1}), ShapeError);
}

TEST_CASE("differs from PyTorch: copies in the place of strided views", "[pytorch]") {
  const Tensor x = some({2, 3});
  CHECK_FALSE(permute(x, {1, 0}).value().shares_storage(x));
  CHECK_FALSE(transpose(x, 0, 1).value().shares_storage(x));
  CHECK_FALSE(slice(x, 1, 0, 2).value().shares_storage(x));
  CHECK(slice(x, 0, 0, 1).value().shares_storage(x));
}

TEST_CASE("differs from PyTorch: slices lie inside", "[pytorch]") {
  CHECK_THROWS_AS(slice(some({4}), 0, -2, 4), ShapeError);
  CHECK_THROWS_AS(slice(some({4}), 0, 0, -1), ShapeError);
  CHECK_THROWS_AS(slice(some({4}), 0, 0, 5), ShapeError);
}

TEST_CASE("differs from PyTorch: split counts parts", "[pytorch]") {
  const Vars parts = split(some({6}), 2);
  CHECK(parts.size() == 2);
  CHECK(parts[0].shape() == Shape{3});
  CHECK(split(some({6}), {2, 4}).back().shape() == Shape{4});
  CHECK_THROWS_AS(split(some({5}), 2), ShapeError);
}

TEST_CASE("differs from PyTorch: concatenate takes one rank", "[pytorch]") {
  CHECK_THROWS_AS(concatenate({some({2, 2}), some({1})}), ShapeError);
}

TEST_CASE("differs from PyTorch: clamp passes the gradient at its bounds", "[pytorch]") {
  Tape tape;
  const Var x = tape.watch(Tensor::from<float>({-2, -1, 0, 1, 2}, {5}));
  tape.backward(sum(clamp(x, -1, 1)));
  CHECK(tape.grad(x).to_vector<float>() == std::vector<float>{0, 1, 1, 1, 0});
}

TEST_CASE("differs from PyTorch: clamp's bounds are in order", "[pytorch]") {
  CHECK_THROWS_AS(clamp(some({2}), 1, 0), ArgumentError);
}

TEST_CASE("differs from PyTorch: reductions name their dimensions", "[pytorch]") {
  CHECK_THROWS_AS(sum(some({2}), std::vector<int>{}), ShapeError);
  CHECK(sum(some({2, 2})).item() == 4);
}

TEST_CASE("differs from PyTorch: argmax takes the last dimension", "[pytorch]") {
  CHECK(argmax(Tensor::from<float>({0, 1, 3, 2}, {2, 2})).to_vector<int>() == std::vector<int>{1, 0});
}

TEST_CASE("differs from PyTorch: losses of two tensors take one shape", "[pytorch]") {
  CHECK_THROWS_AS(mse_loss(some({3, 1}), some({3})), ShapeError);
  CHECK_THROWS_AS(l1_loss(some({3, 1}), some({3})), ShapeError);
}

TEST_CASE("differs from PyTorch: cross entropy takes rows and labels", "[pytorch]") {
  CHECK_THROWS_AS(cross_entropy(some({3}), labels({})), ShapeError);
  CHECK_THROWS_AS(cross_entropy(some({2, 3, 4}), labels({2, 4})), ShapeError);
  CHECK_THROWS_AS(cross_entropy(some({2, 3}), some({2, 3})), DTypeError);
}

TEST_CASE("differs from PyTorch: images have a batch", "[pytorch]") {
  const Tensor x = some({2, 4, 4});
  CHECK_THROWS_AS(conv2d(x, some({1, 2, 3, 3})), ShapeError);
  CHECK_THROWS_AS(max_pool2d(x), ShapeError);
  CHECK_THROWS_AS(avg_pool2d(x), ShapeError);
  CHECK_THROWS_AS(adaptive_avg_pool2d(x, 1), ShapeError);
}

TEST_CASE("differs from PyTorch: batch norm takes two and four dimensions", "[pytorch]") {
  Tensor running = some({3});
  CHECK(batch_norm(some({2, 3}), {}, {}, running, running).shape() == Shape{2, 3});
  CHECK(batch_norm(some({2, 3, 1, 1}), {}, {}, running, running).shape() == Shape{2, 3, 1, 1});
  CHECK_THROWS_AS(batch_norm(some({2, 3, 4}), {}, {}, running, running), ShapeError);
  CHECK_THROWS_AS(BatchNorm2d(3)(Var(some({2, 3}))), ShapeError);
}

TEST_CASE("differs from PyTorch: batch norm's momentum is a number", "[pytorch]") {
  static_assert(std::is_same_v<decltype(BatchNorm2dOptions::momentum), double>);
  CHECK_THROWS_AS(BatchNorm2d(3, {.momentum = 2}), ArgumentError);
}

TEST_CASE("differs from PyTorch: embedding's indices are i64", "[pytorch]") {
  CHECK_THROWS_AS(embedding(Tensor::zeros({2}, DType::i32), some({3, 2})), DTypeError);
}

TEST_CASE("differs from PyTorch: a linear layer's weight is a matrix", "[pytorch]") {
  CHECK_THROWS_AS(linear(some({2, 3}), some({3})), ShapeError);
  CHECK(matmul(some({2, 3}), some({3})).shape() == Shape{2});
}

TEST_CASE("differs from PyTorch: a gradient is a tensor", "[pytorch]") {
  static_assert(std::is_same_v<decltype(std::declval<const Tape&>().grad(Var())), Tensor>);
}

TEST_CASE("differs from PyTorch: a NaN spreads further in large 3 x 3 convolutions", "[pytorch]") {
  const Tensor w = random_tensor({8, 8, 3, 3}, DType::f32, 1);
  Tensor x = random_tensor({1, 8, 16, 16}, DType::f32, 2);
  x.mutable_values<float>()[7 * 16 + 7] = std::numeric_limits<float>::quiet_NaN();
  const auto nans = [&](Conv2dAlgorithm algorithm) {
    const auto y = conv2d(x, w, {}, {.padding = 1, .algorithm = algorithm}).value().to_vector<float>();
    return std::ranges::count_if(y, [](float value) { return std::isnan(value); });
  };
  CHECK(nans(Conv2dAlgorithm::direct) == 8 * 9);
  CHECK(nans(Conv2dAlgorithm::automatic) > 8 * 9);
}

TEST_CASE("differs from PyTorch: an infinite norm makes all gradients NaN", "[pytorch]") {
  Parameter p(some({2}));
  p.accumulate_grad(Tensor::from<float>({1, std::numeric_limits<float>::infinity()}, {2}));
  CHECK(std::isinf(clip_grad_norm({&p}, 1)));
  for (const float g : p.grad().to_vector<float>()) CHECK(std::isnan(g));
}
