#include "../../support/catch.h"
#include "../../support/random_tensor.h"
#include "../../support/rounding.h"
#include "../../support/throws.h"

#include <retrace/autograd/ops.h>
#include <retrace/autograd/tape.h>

#include <cmath>

using namespace retrace;
using namespace retrace::test;

namespace {

Tensor labels(std::initializer_list<std::int64_t> values) {
  return Tensor::from(values, {static_cast<std::int64_t>(values.size())});
}

}  // namespace

TEST_CASE("cross entropy is the mean of -log softmax", "[loss]") {
  const Tensor x = random_tensor({3, 5}, DType::f64, 1);
  const std::vector<double> logs = log_softmax(x).value().to_vector<double>();
  const double expected = -(logs[2] + logs[5 + 0] + logs[10 + 4]) / 3;
  CHECK(roundings(cross_entropy(x, labels({2, 0, 4})).value().item(), expected, DType::f64) <= 10);
}

TEST_CASE("cross entropy of huge logits is finite", "[loss]") {
  const Tensor x = Tensor::from<float>({1e30F, -1e30F, 3e4F, -3e4F}, {2, 2});
  CHECK(cross_entropy(x, labels({0, 0})).value().item() == 0);
  CHECK(cross_entropy(x, labels({0, 1})).value().item() == 3e4);
}

TEST_CASE("cross entropy keeps its inputs alone", "[loss]") {
  Tape tape;
  const Var x = tape.watch(random_tensor({4, 16}, DType::f32, 1));
  const Counter counter(kStepTags);
  const std::int64_t before = counter.live();
  const Var y = cross_entropy(x, labels({1, 2, 3, 4}));
  CHECK(counter.live() == before + 64);
  CHECK(tape.saved_bytes() == 4 * 16 * 4 + 4 * 8);
}

TEST_CASE("labels outside the classes are named", "[loss]") {
  const Tensor x = random_tensor({3, 10}, DType::f32, 1);
  check_throws<ArgumentError>(
      [&] {
        return cross_entropy(x, labels({1, 12, 3}));
      },
      "[cross_entropy] labels must be in [0,10) for 10 classes, got 12 at index 1");
  check_throws<ArgumentError>(
      [&] {
        return cross_entropy(x, labels({1, 2, -1}));
      },
      "[cross_entropy] labels must be in [0,10) for 10 classes, got -1 at index 2");
  check_throws<DTypeError>([&] { return cross_entropy(x, Tensor::zeros({3}, DType::i32)); },
                           "[cross_entropy] labels must be i64, got i32");
  check_throws<ShapeError>(
      [&] {
        return cross_entropy(x, labels({1, 2}));
      },
      "[cross_entropy] logits must be [N,C] and labels [N], got [3,10] and [2]");
  check_throws<ShapeError>(
      [&] {
        return cross_entropy(Tensor::zeros({3}, DType::f32), labels({1, 2, 0}));
      },
      "[cross_entropy] logits must be [N,C] and labels [N], got [3] and [3]");
}

TEST_CASE("label smoothing keeps its inputs and an infinite logit harms no other row", "[loss]") {
  Tape tape;
  const Var x = tape.watch(Tensor::from<double>({0, -INFINITY, 1, 1}, {2, 2}));
  const Var y = cross_entropy(x, labels({0, 1}), {.reduction = Reduction::none});
  CHECK(y.value().to_vector<double>()[0] == 0);
  CHECK(roundings(y.value().to_vector<double>()[1], std::log(2), DType::f64) <= 4);
  CHECK(tape.saved_bytes() == 4 * 8 + 2 * 8);
}

TEST_CASE("a mean over ignored rows alone is not a number", "[loss]") {
  const Tensor x = random_tensor({2, 3}, DType::f32, 1);
  CHECK(std::isnan(cross_entropy(x, labels({-100, -100})).value().item()));
  CHECK(cross_entropy(x, labels({-100, -100}), {.reduction = Reduction::sum}).value().item() == 0);
  check_throws<ArgumentError>(
      [&] {
        return cross_entropy(x, labels({-100, 1}), {.ignore_index = 0});
      },
      "[cross_entropy] labels must be in [0,3) for 3 classes, got -100 at index 0");
}

TEST_CASE("options of the cross entropy that do not fit", "[loss]") {
  const Tensor x = random_tensor({2, 3}, DType::f32, 1);
  const auto loss = [&](const CrossEntropyOptions& options) {
    return cross_entropy(x, labels({0, 1}), options);
  };
  check_throws<ArgumentError>([&] { return loss({.label_smoothing = 1.5}); },
                              "[cross_entropy] label_smoothing must be in [0,1], got 1.5");
  check_throws<ArgumentError>([&] { return loss({.label_smoothing = -0.1}); },
                              "[cross_entropy] label_smoothing must be in [0,1], got -0.1");
  check_throws<ShapeError>([&] { return loss({.weight = Tensor::zeros({2}, DType::f32)}); },
                           "[cross_entropy] weight must be [3], one for each class, got [2]");
  check_throws<DTypeError>([&] { return loss({.weight = Tensor::zeros({3}, DType::f64)}); },
                           "[cross_entropy] weight must be f32 as x is, got f64");
}

TEST_CASE("binary cross entropy of huge logits is finite", "[loss]") {
  const Tensor x = Tensor::from<float>({1e30F, -1e30F, 1e30F, -1e30F}, {4});
  const Tensor target = Tensor::from<float>({1, 0, 0, 1}, {4});
  CHECK(binary_cross_entropy_with_logits(x, target, {.reduction = Reduction::none})
            .value()
            .to_vector<float>() == std::vector<float>{0, 0, 1e30F, 1e30F});
}

TEST_CASE("binary cross entropy keeps the digits of a small loss and its gradient", "[loss]") {
  Tape tape;
  const Var x = tape.watch(Tensor::from<float>({20, -20}, {2}));
  const Var y =
      binary_cross_entropy_with_logits(x, Tensor::from<float>({1, 0}, {2}), {.reduction = Reduction::sum});
  CHECK(roundings(y.value().item(), 2 * std::log1p(std::exp(-20.0)), DType::f32) <= 8);
  tape.backward(y);
  const std::vector<double> gradient = tape.grad(x).to_vector<double>();
  const double slope = std::exp(-20.0) / (1 + std::exp(-20.0));
  CHECK(roundings(gradient[0], -slope, DType::f32) <= 8);
  CHECK(roundings(gradient[1], slope, DType::f32) <= 8);
}

TEST_CASE("binary cross entropy says what does not fit", "[loss]") {
  const Tensor x = Tensor::zeros({2, 3}, DType::f32);
  const auto loss = [&](const Tensor& target, const BinaryCrossEntropyOptions& options = {}) {
    return binary_cross_entropy_with_logits(x, target, options);
  };
  check_throws<ShapeError>([&] { return loss(Tensor::zeros({3}, DType::f32)); },
                           "[binary_cross_entropy_with_logits] target must have x's shape [2,3], got [3]");
  check_throws<DTypeError>(
      [&] {
        return loss(Tensor::zeros({2, 3}, DType::i64));
      },
      "[binary_cross_entropy_with_logits] target must be f32 as x is, got i64");
  check_throws<ShapeError>(
      [&] {
        return loss(x, {.pos_weight = Tensor::zeros({4, 2, 3}, DType::f32)});
      },
      "[binary_cross_entropy_with_logits] pos_weight must broadcast to x [2,3], got [4,2,3]");
  check_throws<ShapeError>([&] { return loss(x, {.weight = Tensor::zeros({2}, DType::f32)}); },
                           "[binary_cross_entropy_with_logits] weight must broadcast to x [2,3], got [2]");
}

TEST_CASE("the absolute value keeps two bits an element", "[loss]") {
  Tape tape;
  const Var x = tape.watch(random_tensor({3, 7, 11}, DType::f32, 1));
  l1_loss(x, Tensor::zeros({3, 7, 11}, DType::f32));
  REQUIRE(tape.saved().size() == 1);
  CHECK(tape.saved().front().tensor.dtype() == DType::u8);
  CHECK(tape.saved().front().tensor.shape() == Shape{2, (231 + 7) / 8});
}

TEST_CASE("mse_loss does not broadcast", "[loss]") {
  check_throws<ShapeError>(
      [] {
        return mse_loss(Tensor::zeros({3, 1}, DType::f32), Tensor::zeros({3}, DType::f32));
      },
      "[mse_loss] x and y must have the same shape, got [3,1] and [3]");
  check_throws<ShapeError>(
      [] {
        return l1_loss(Tensor::zeros({3, 1}, DType::f32), Tensor::zeros({3}, DType::f32));
      },
      "[l1_loss] x and y must have the same shape, got [3,1] and [3]");
}

TEST_CASE("the softmax of a scalar is 1", "[loss]") {
  for (const int dim : {0, -1}) {
    Tape tape;
    const Var x = tape.watch(Tensor::full({}, 3, DType::f32));
    const Var y = softmax(x, dim) + 2 * log_softmax(x, dim);
    CHECK(y.shape() == Shape{});
    CHECK(y.item() == 1);
    tape.backward(y);
    CHECK(tape.grad(x).item() == 0);
  }
}

TEST_CASE("softmax says what does not fit", "[loss]") {
  check_throws<ShapeError>([] { return softmax(Tensor::zeros({3}, DType::f32), 1); },
                           "[softmax] a dimension of x [3] must be in [-1,1), got 1");
  check_throws<DTypeError>([] { return log_softmax(Tensor::zeros({3}, DType::u8)); },
                           "[log_softmax] x must be f32 or f64, got u8");
}

TEST_CASE("what is small beside large logits is not rounded away", "[loss]") {
  const DType dtype = GENERATE(DType::f32, DType::f64);
  Tape tape;
  const Var x = tape.watch(Tensor::full({1, 2}, 1e15, dtype));
  const Var loss = cross_entropy(x, labels({1}));
  CHECK(roundings(loss.value().item(), std::log(2), dtype) <= 4);
  tape.backward(loss);
  CHECK(tape.grad(x).to_vector<double>() == std::vector<double>{0.5, -0.5});
  for (const double v : log_softmax(x.value()).value().to_vector<double>())
    CHECK(roundings(v, -std::log(2), dtype) <= 4);
  const Var smoothed = cross_entropy(x.value(), labels({1}), {.label_smoothing = 0.5});
  CHECK(roundings(smoothed.value().item(), std::log(2), dtype) <= 4);
}

TEST_CASE("mse_loss rounds once: no product, quotient or sum of f16 on the way", "[loss]") {
  constexpr std::int64_t kElements = 100'000;
  Tape tape;
  const Var x = tape.watch(random_tensor({kElements}, DType::f16, 1));
  const Var y = tape.watch(random_tensor({kElements}, DType::f16, 2));
  const Var loss = mse_loss(x, y);
  tape.backward(loss, Tensor::full({}, 1024, DType::f16));
  const std::vector<double> a = x.value().to_vector<double>();
  const std::vector<double> b = y.value().to_vector<double>();
  const std::vector<double> dx = tape.grad(x).to_vector<double>();
  const std::vector<double> dy = tape.grad(y).to_vector<double>();
  double sum = 0;
  int off = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    sum += (a[i] - b[i]) * (a[i] - b[i]);
    const double exact = 2 * (a[i] - b[i]) * 1024 / kElements;
    // half a unit of f16 in the last place, or of the smallest number, and f32's rounding
    off += std::abs(dx[i] - exact) <= std::max(std::abs(exact) * 0x1.01p-11, 0x1p-25) ? 0 : 1;
    off += dx[i] == -dy[i] ? 0 : 1;
  }
  CHECK(off == 0);
  CHECK(roundings(loss.value().item(), sum / kElements, DType::f16) <= 1 + 0x1p-8);  // f16's, and f32's
  // A difference whose square f16 does not hold.
  const Tensor large = Tensor::from<double>({300, 0, 0, 0}, {4}).to(DType::f16, Tag::data);
  CHECK(mse_loss(large, Tensor::zeros({4}, DType::f16)).value().item() == 22496);  // of 22500 the nearest
}
