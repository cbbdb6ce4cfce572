// Every error of an operation names the operation that was called, not one that it is made of.
#include "../support/catch.h"
#include "../support/throws.h"

#include <retrace/autograd/autocast.h>
#include <retrace/autograd/ops.h>
#include <retrace/core/error.h>

#include <functional>
#include <string>
#include <vector>

using namespace retrace;
using namespace retrace::test;

namespace {

Tensor some(const Shape& shape, DType dtype = DType::f32) { return Tensor::ones(shape, dtype); }

const Tensor kNone;
const Tensor kIntegers = Tensor::zeros({2, 2}, DType::i64);
const Tensor kSquare = some({2, 2});
const Tensor kCube = some({2, 2, 2});
const Tensor kImage = some({1, 2, 2, 2});
const Tensor kWide = some({2, 2}, DType::f64);
const Tensor kHalf = some({2, 2}, DType::bf16);
const Tensor kLabels = Tensor::zeros({2}, DType::i64);

/// An operation, and calls that it must refuse in its own name.
struct Row {
  const char* op;
  std::vector<std::function<void()>> calls;
};

/// What an operation of one variable refuses.
Row unary(const char* op, const std::function<void(const Var&)>& f) {
  return {op, {[f] { f(kNone); }, [f] { f(kIntegers); }}};
}

/// What an operation of two variables refuses.
Row binary(const char* op, const std::function<void(const Var&, const Var&)>& f) {
  return {op,
          {[f] { f(kNone, kSquare); }, [f] { f(kSquare, kNone); }, [f] { f(kIntegers, kIntegers); },
           [f] { f(kSquare, kWide); },
           [f] {
             f(kSquare, some({3, 5}));
           }}};
}

std::vector<Row> elementwise() {
  return {
      binary("add", [](const Var& x, const Var& y) { x + y; }),
      binary("sub", [](const Var& x, const Var& y) { x - y; }),
      binary("mul", [](const Var& x, const Var& y) { x* y; }),
      binary("div", [](const Var& x, const Var& y) { x / y; }),
      unary("add", [](const Var& x) { x + 1; }),
      unary("add", [](const Var& x) { 1 + x; }),
      unary("sub", [](const Var& x) { x - 1; }),
      unary("sub", [](const Var& x) { 1 - x; }),
      unary("mul", [](const Var& x) { x * 2; }),
      unary("mul", [](const Var& x) { 2 * x; }),
      unary("div", [](const Var& x) { x / 2; }),
      unary("reciprocal", [](const Var& x) { 2 / x; }),
      unary("scale_shift", [](const Var& x) { scale_shift(x, 2, 1); }),
      unary("neg", [](const Var& x) { -x; }),
      unary("exp", [](const Var& x) { exp(x); }),
      unary("log", [](const Var& x) { log(x); }),
      unary("sqrt", [](const Var& x) { sqrt(x); }),
      unary("square", [](const Var& x) { square(x); }),
      unary("tanh", [](const Var& x) { tanh(x); }),
      unary("sigmoid", [](const Var& x) { sigmoid(x); }),
      unary("silu", [](const Var& x) { silu(x); }),
      unary("gelu", [](const Var& x) { gelu(x); }),
      unary("gelu", [](const Var& x) { gelu(x, GeluApproximation::tanh); }),
      unary("relu", [](const Var& x) { relu(x); }),
      unary("leaky_relu", [](const Var& x) { leaky_relu(x); }),
      unary("abs", [](const Var& x) { abs(x); }),
      unary("clamp", [](const Var& x) { clamp(x, 0, 1); }),
      {"clamp", {[] { clamp(kSquare, 1, 0); }}},
      unary("dropout", [](const Var& x) { dropout(x); }),
      {"dropout", {[] { dropout(kSquare, 2); }}},
      unary("cast", [](const Var& x) { cast(x, DType::f64); }),
      {"cast", {[] { cast(kSquare, DType::i64); }}},
  };
}

std::vector<Row> reductions() {
  return {
      unary("sum", [](const Var& x) { sum(x); }),
      unary("sum", [](const Var& x) { sum(x, {1}); }),
      {"sum", {[] { sum(kSquare, {2}); }}},
      unary("mean", [](const Var& x) { mean(x); }),
      unary("mean", [](const Var& x) { mean(x, {1}); }),
      {"mean", {[] {
         mean(kSquare, {0, 0});
       }}},
      {"argmax", {[] { argmax(kNone); }, [] { argmax(kIntegers); }}},
      unary("softmax", [](const Var& x) { softmax(x); }),
      {"softmax", {[] { softmax(kSquare, 2); }, [] { softmax(kHalf); }}},
      unary("log_softmax", [](const Var& x) { log_softmax(x); }),
      {"log_softmax", {[] { log_softmax(kSquare, -3); }, [] { log_softmax(kHalf); }}},
  };
}

std::vector<Row> losses() {
  const auto bce = [](const Tensor& x, const Tensor& target) { binary_cross_entropy_with_logits(x, target); };
  return {
      binary("mse_loss", [](const Var& x, const Var& y) { mse_loss(x, y); }),
      binary("l1_loss", [](const Var& x, const Var& y) { l1_loss(x, y); }),
      {"cross_entropy",
       {[] { cross_entropy(kNone, kLabels); }, [] { cross_entropy(kSquare, kNone); },
        [] { cross_entropy(kIntegers, kLabels); }, [] { cross_entropy(kSquare, kSquare); },
        [] { cross_entropy(kHalf, kLabels); }, [] { cross_entropy(kCube, kLabels); },
        [] { cross_entropy(kSquare, kLabels, {.weight = some({3})}); },
        [] { cross_entropy(kSquare, kLabels, {.label_smoothing = 2}); }}},
      {"binary_cross_entropy_with_logits",
       {[=] { bce(kNone, kSquare); }, [=] { bce(kSquare, kNone); }, [=] { bce(kIntegers, kIntegers); },
        [=] { bce(kSquare, kWide); }, [=] { bce(kSquare, kCube); }, [=] { bce(kHalf, kHalf); }}},
  };
}

std::vector<Row> layers() {
  Tensor mean = Tensor::zeros({2}, DType::f32);
  const std::function<void(const Tensor&, const Tensor&)> norm =
      [mean](const Tensor& x, const Tensor& gamma) mutable { batch_norm(x, gamma, kNone, mean, mean); };
  const std::function<void(const Tensor&, const Tensor&)> norm_relu =
      [mean](const Tensor& x, const Tensor& gamma) mutable { batch_norm_relu(x, gamma, kNone, mean, mean); };
  return {
      binary("matmul", [](const Var& x, const Var& y) { matmul(x, y); }),
      {"matmul", {[] { matmul(some({}), kSquare); }, [] { matmul(some({3}), some({2})); }}},
      binary("linear", [](const Var& x, const Var& w) { linear(x, w); }),
      {"linear", {[] { linear(kSquare, kSquare, some({3})); }, [] { linear(some({}), kSquare); }}},
      binary("conv2d", [](const Var& x, const Var& w) { conv2d(x, w); }),
      {"conv2d", {[] {
         conv2d(kImage, some({1, 2, 1, 1}), {}, {.padding = 2147483647});
       }}},
      {"conv2d", {[] {
         Var none;
         conv2d_onto(none, Sign::plus, kImage, kSquare, {}, {});
       }}},
      unary("max_pool2d", [](const Var& x) { max_pool2d(x); }),
      {"max_pool2d", {[] { max_pool2d(kSquare); }, [] { max_pool2d(kImage, {.kernel = 3}); }}},
      unary("avg_pool2d", [](const Var& x) { avg_pool2d(x); }),
      {"avg_pool2d", {[] { avg_pool2d(kSquare); }, [] { avg_pool2d(kImage, {.kernel = 0}); }}},
      unary("adaptive_avg_pool2d", [](const Var& x) { adaptive_avg_pool2d(x, 1); }),
      {"adaptive_avg_pool2d",
       {[] { adaptive_avg_pool2d(kSquare, 1); }, [] { adaptive_avg_pool2d(kImage, std::int64_t{1} << 31); }}},
      {"batch_norm",
       {[=] { norm(kNone, kNone); }, [=] { norm(kIntegers, kNone); }, [=] { norm(kHalf, kNone); },
        [=] { norm(kCube, kNone); }, [=] { norm(kWide, kNone); }, [=] { norm(kSquare, some({3})); }}},
      {"batch_norm_relu",
       {[=] { norm_relu(kNone, kNone); }, [=] { norm_relu(kIntegers, kNone); },
        [=] { norm_relu(kSquare, some({3})); }}},
      unary("layer_norm", [](const Var& x) { layer_norm(x, {2}); }),
      {"layer_norm", {[] { layer_norm(kSquare, {3}); }, [] { layer_norm(kHalf, {2}); }}},
      unary("group_norm", [](const Var& x) { group_norm(x, 1); }),
      {"group_norm",
       {[] { group_norm(some({2}), 1); }, [] { group_norm(kSquare, 3); }, [] { group_norm(kHalf, 1); }}},
      {"embedding",
       {[] { embedding(kNone, kSquare); }, [] { embedding(kLabels, kNone); },
        [] { embedding(kSquare, kSquare); }, [] { embedding(kLabels, kIntegers); },
        [] { embedding(kLabels, kHalf); }, [] { embedding(kLabels, kCube); },
        [] { embedding(Tensor::full({1}, 7, DType::i64), kSquare); },
        [] { embedding(kLabels, kSquare, {.padding_idx = 5}); }}},
  };
}

std::vector<Row> copies() {
  return {
      {"reshape",
       {[] { reshape(kNone, {1}); }, [] { reshape(kSquare, {3}); }, [] { reshape(kSquare, Shape{3}); },
        [] {
          reshape(kSquare, {-1, -1});
        },
        [] { reshape(kSquare, {0}); },
        [] {
          reshape(kSquare, {1, 1, 1, 1, 1, 1, 1, 1, 4});
        }}},
      {"flatten",
       {[] { flatten(kNone); }, [] { flatten(kSquare, 2); }, [] { flatten(kSquare, 0, 2); },
        [] { flatten(kSquare, 1, 0); }, [] { flatten(some({})); }}},
      {"permute",
       {[] { permute(kNone, {}); }, [] { permute(kSquare, {0}); },
        [] {
          permute(kSquare, {0, 2});
        }}},
      {"transpose",
       {[] { transpose(kNone, 0, 0); }, [] { transpose(kSquare, 0, 2); }, [] { transpose(kSquare, -3, 0); }}},
      {"slice",
       {[] { slice(kNone, 0, 0, 1); }, [] { slice(kSquare, 2, 0, 1); }, [] { slice(kSquare, 0, 1, 3); },
        [] { slice(kSquare, 0, 0, 1, 0); }, [] { slice(some({}), 0, 0, 1); }}},
      {"split",
       {[] { split(kNone, 1); }, [] { split(kSquare, 2, 2); }, [] { split(kSquare, 3); },
        [] { split(kSquare, std::vector<std::int64_t>{1}, -3); },
        [] { split(kSquare, std::vector<std::int64_t>{1}); }, [] { split(some({}), 1); }}},
      {"concatenate",
       {[] { concatenate({}); },
        [] {
          concatenate({kSquare, kNone});
        },
        [] {
          concatenate({kSquare, kWide});
        },
        [] {
          concatenate({kSquare, kCube});
        },
        [] { concatenate({kSquare}, 2); }, [] { concatenate({some({})}); }}},
  };
}

}  // namespace

TEST_CASE("errors name the operation that was called", "[op_errors]") {
  for (const auto& family : {elementwise(), reductions(), losses(), layers(), copies()})
    for (const Row& row : family) {
      const std::string name = "[" + std::string(row.op) + "] ";
      std::size_t i = 0;
      for (const auto& call : row.calls) {
        INFO(row.op << ", call " << i++);
        try {
          call();
          FAIL_CHECK("nothing was thrown");
        } catch (const Error& error) {
          CHECK_THAT(std::string(error.what()), Catch::Matchers::StartsWith(name));
        }
      }
    }
}

TEST_CASE("under Autocast errors name the operation, too", "[op_errors]") {
  const Autocast scope;
  check_throws<ShapeError>(
      [] {
        return matmul(kSquare, some({3, 3}));
      },
      "[matmul] a [2,2] has rows of 2 elements but b [3,3] has columns of 3");
  check_throws<DTypeError>([] { return softmax(kIntegers); }, "[softmax] x must be f32 or f64, got i64");
}

TEST_CASE("operations say which input is missing or of another type", "[op_errors]") {
  check_throws<ArgumentError>([] { return relu(kNone); },
                              "[relu] x must be defined, got an undefined tensor");
  check_throws<ArgumentError>([] { return kSquare + Var(); },
                              "[add] y must be defined, got an undefined tensor");
  check_throws<DTypeError>([] { return layer_norm(kHalf, {2}); },
                           "[layer_norm] x must be f32 or f64, got bf16; cast it to f32, or use Autocast, "
                           "which does");
  check_throws<DTypeError>([] { return Var(kIntegers) * 2; },
                           "[mul] x must be f32, f64, bf16 or f16, got i64");
  check_throws<DTypeError>([] { return l1_loss(kSquare, kWide); },
                           "[l1_loss] y must be f32 as x is, got f64");
}
