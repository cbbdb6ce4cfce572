#include <retrace/autograd/ops.h>
#include <retrace/core/error.h>
#include <retrace/nn/batch_norm.h>

#include <cmath>
#include <limits>

#include "../support/catch.h"
#include "../support/rounding.h"

using namespace retrace;
using test::roundings;

namespace {

using Names = std::vector<std::string>;

/// Channel 0: 1, 3, 5, 7 (mean 4, variance 5, unbiased 20 / 3); channel 1: 2 everywhere.
Tensor images() { return Tensor::from<float>({1, 3, 2, 2, 5, 7, 2, 2}, {2, 2, 1, 2}); }

}  // namespace

TEST_CASE("batch norm in training takes the batch's statistics and moves the running ones", "[batch_norm]") {
  BatchNorm2d norm(2);
  Tape tape;
  const Var y = norm(tape.watch(images()));
  const double rstd = 1 / std::sqrt(5 + 1e-5);
  CHECK(roundings(y.value(), {-3 * rstd, -1 * rstd, 0, 0, 1 * rstd, 3 * rstd, 0, 0}) <= 6);

  CHECK(roundings(norm.running_mean(), {0.4, 0.2}) <= 4);
  CHECK(roundings(norm.running_var(), {0.9 + 0.1 * 20 / 3, 0.9}) <= 4);
  CHECK(norm.num_batches_tracked().item() == 1);

  tape.backward(y, Tensor::full(y.shape(), 1, DType::f32));
  CHECK(norm.bias().grad().to_vector<float>() == std::vector<float>{4, 4});
  // The sum of y, whose magnitudes make 8 rstd = 3.6.
  CHECK(std::abs(norm.weight().grad().to_vector<double>()[0]) <=
        8 * rstd * 10 * test::unit_roundoff(DType::f32));
}

TEST_CASE("batch norm in evaluation takes the running statistics and leaves them", "[batch_norm]") {
  BatchNorm2d norm(2, {.eps = 1});
  norm.eval();
  norm.running_mean() = Tensor::from<float>({1, 2}, {2}, Tag::buffer);
  norm.running_var() = Tensor::from<float>({3, 8}, {2}, Tag::buffer);
  norm.weight().value() = Tensor::from<float>({2, 1}, {2}, Tag::parameter);
  norm.bias().value() = Tensor::from<float>({0, 5}, {2}, Tag::parameter);
  CHECK(roundings(norm(Var(images())).value(), {0, 2, 5, 5, 4, 6, 5, 5}) <= 4);
  CHECK(norm.running_mean().to_vector<float>() == std::vector<float>{1, 2});
  CHECK(norm.num_batches_tracked().item() == 0);
}

TEST_CASE("a replay computes the same and touches no buffer", "[batch_norm]") {
  BatchNorm2d norm(2, {.momentum = 0.5});
  const auto first = norm(Var(images())).value().to_vector<float>();
  std::vector<std::uint64_t> contents;
  for (const auto& [name, buffer] : norm.named_buffers()) contents.push_back(buffer->storage().content());

  const Recomputing recomputing;
  const Tape tape;
  CHECK(norm(Var(images())).value().to_vector<float>() == first);
  std::size_t i = 0;
  for (const auto& [name, buffer] : norm.named_buffers()) CHECK(buffer->storage().content() == contents[i++]);
  CHECK(norm.num_batches_tracked().item() == 1);
}

TEST_CASE("batch norm and ReLU in one pass are the two", "[batch_norm]") {
  BatchNorm2d apart(2);
  BatchNorm2d fused(2);
  const bool training = GENERATE(true, false);
  apart.train(training);
  fused.train(training);
  CHECK(fused.then_relu(Var(images())).value().to_vector<float>() ==
        relu(apart(Var(images()))).value().to_vector<float>());
  CHECK(fused.running_mean().to_vector<float>() == apart.running_mean().to_vector<float>());
  CHECK(fused.num_batches_tracked().item() == (training ? 1 : 0));
  CHECK_THROWS_WITH(fused.then_relu(Var(Tensor::zeros({4, 2}, DType::f32))),
                    "[batch_norm2d] x must be [N,C,H,W], got [4,2]");
}

TEST_CASE("batch norm's tensors have PyTorch's names", "[batch_norm]") {
  BatchNorm2d norm(3);
  Names names;
  for (const auto& [name, parameter] : norm.named_parameters()) names.push_back(name);
  for (const auto& [name, buffer] : norm.named_buffers()) names.push_back(name);
  CHECK(names == Names{"weight", "bias", "running_mean", "running_var", "num_batches_tracked"});
  norm.to(DType::f64);
  CHECK(norm.running_var().dtype() == DType::f64);
  CHECK(norm.num_batches_tracked().dtype() == DType::i64);
  CHECK(norm(Var(Tensor::full({1, 3, 1, 2}, 1, DType::f64))).dtype() == DType::f64);
}

TEST_CASE("a batch norm without a bias or a weight", "[batch_norm]") {
  const bool training = GENERATE(true, false);
  BatchNorm2d whole(2);
  BatchNorm2d unbiased(2, {.bias = false});
  BatchNorm2d plain(2, {.affine = false});
  CHECK(unbiased.parameters().size() == 1);
  CHECK(plain.parameters().empty());
  CHECK_FALSE(unbiased.bias().defined());
  const auto run = [&](BatchNorm2d& norm) {
    norm.train(training);
    Tape tape;
    const Var x = tape.watch(images());
    const Var y = square(norm.then_relu(x)) + norm(x);
    tape.backward(sum(y));
    return std::pair(y.value().to_vector<float>(), tape.grad(x).to_vector<float>());
  };
  const auto expected = run(whole);
  CHECK(run(unbiased) == expected);
  CHECK(run(plain) == expected);
  CHECK(unbiased.weight().grad().to_vector<float>() == whole.weight().grad().to_vector<float>());
  CHECK(plain.clone()->named_buffers().size() == 3);
}

TEST_CASE("batch norms that do not exist", "[batch_norm]") {
  CHECK_THROWS_AS(BatchNorm2d(0), ArgumentError);
  CHECK_THROWS_WITH(BatchNorm2d(0), "[batch_norm2d] there must be at least 1 channel, got 0");
  CHECK_THROWS_WITH(BatchNorm2d(1, {.eps = 0}), "[batch_norm2d] eps must be above 0, got 0");
  constexpr double kInf = std::numeric_limits<double>::infinity();
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  CHECK_THROWS_WITH(BatchNorm2d(1, {.eps = kInf}), "[batch_norm2d] eps must be finite, got inf");
  CHECK_THROWS_WITH(BatchNorm2d(1, {.momentum = kNan}), "[batch_norm2d] momentum must be in [0,1], got nan");
  CHECK_THROWS_WITH(BatchNorm2d(1, {.momentum = 1.5}), "[batch_norm2d] momentum must be in [0,1], got 1.5");
  BatchNorm2d norm(2);
  CHECK_THROWS_AS(norm(Var(Tensor::zeros({4, 2}, DType::f32))), ShapeError);
  CHECK_THROWS_WITH(norm(Var(Tensor::zeros({4, 2}, DType::f32))),
                    "[batch_norm2d] x must be [N,C,H,W], got [4,2]");
  CHECK_THROWS_AS(norm(Var(Tensor::zeros({4, 3, 1, 1}, DType::f32))), ShapeError);
  CHECK(norm.num_batches_tracked().item() == 0);
}
