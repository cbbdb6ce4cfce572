#include "../../support/catch.h"
#include "../../support/random_tensor.h"
#include "../../support/throws.h"

#include <retrace/autograd/ops.h>
#include <retrace/autograd/tape.h>

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
  CHECK(cross_entropy(x, labels({2, 0, 4})).value().item() == Approx(expected).epsilon(1e-14));
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

TEST_CASE("mse_loss does not broadcast", "[loss]") {
  check_throws<ShapeError>(
      [] {
        return mse_loss(Tensor::zeros({3, 1}, DType::f32), Tensor::zeros({3}, DType::f32));
      },
      "[mse_loss] x and y must have the same shape, got [3,1] and [3]");
}

TEST_CASE("softmax says what does not fit", "[loss]") {
  check_throws<ShapeError>([] { return softmax(Tensor::zeros({3}, DType::f32), 1); },
                           "[shape] a dimension of [3] must be in [-1,1), got 1");
  check_throws<DTypeError>([] { return log_softmax(Tensor::zeros({3}, DType::u8)); },
                           "[log_softmax] x must be f32 or f64, got u8");
}
