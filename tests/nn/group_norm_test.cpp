#include <retrace/core/error.h>
#include <retrace/nn/group_norm.h>

#include <cmath>

#include "../support/catch.h"
#include "../support/rounding.h"
#include "../support/throws.h"

using namespace retrace;
using namespace retrace::test;

namespace {

using Names = std::vector<std::string>;

Names names_of(Module& module) {
  Names names;
  for (const auto& [name, parameter] : module.named_parameters()) names.push_back(name);
  return names;
}

void check_values(const Var& y, const std::vector<double>& expected) {
  CHECK(roundings(y.value(), expected) <= 8);
}

}  // namespace

TEST_CASE("a layer norm normalises each sample", "[group_norm]") {
  LayerNorm norm({4});
  CHECK(names_of(norm) == Names{"weight", "bias"});
  CHECK(norm.weight().value().to_vector<float>() == std::vector<float>{1, 1, 1, 1});
  CHECK(norm.bias().value().to_vector<float>() == std::vector<float>{0, 0, 0, 0});
  norm.bias().value() = Tensor::from<float>({0, 0, 0, 10}, {4}, Tag::parameter);

  Tape tape;
  const Var x = tape.watch(Tensor::from<float>({1, 3, 5, 7, 2, 2, 2, 2}, {2, 4}));
  const Var y = norm(x);
  const double rstd = 1 / std::sqrt(5 + 1e-5);
  check_values(y, {-3 * rstd, -rstd, rstd, 3 * rstd + 10, 0, 0, 0, 10});

  tape.backward(y, Tensor::full({2, 4}, 1, DType::f32));
  CHECK(norm.bias().grad().to_vector<float>() == std::vector<float>{2, 2, 2, 2});
  CHECK(roundings(norm.weight().grad().to_vector<double>()[0], -3 * rstd, DType::f32) <= 6);
  norm.eval();
  check_values(norm(x), {-3 * rstd, -rstd, rstd, 3 * rstd + 10, 0, 0, 0, 10});
}

TEST_CASE("a layer norm over two dimensions, with eps, without parameters", "[group_norm]") {
  LayerNorm norm({2, 2}, {.eps = 4, .elementwise_affine = false});
  CHECK(names_of(norm).empty());
  CHECK_FALSE(norm.weight().defined());
  check_values(norm(Var(Tensor::from<float>({1, 3, 5, 7}, {1, 2, 2}))), {-1, -1.0 / 3, 1.0 / 3, 1});
  LayerNorm unbiased({2, 2}, {.bias = false});
  CHECK(names_of(unbiased) == Names{"weight"});
  CHECK(unbiased.clone()->parameter_count() == 4);
}

TEST_CASE("a group norm normalises groups of channels", "[group_norm]") {
  GroupNorm norm(2, 4, {.eps = 4});
  CHECK(names_of(norm) == Names{"weight", "bias"});
  norm.weight().value() = Tensor::from<float>({1, 2, 1, 1}, {4}, Tag::parameter);
  const Tensor x = Tensor::from<float>({1, 3, 5, 7, 2, 2, 2, 2}, {1, 4, 2, 1});
  check_values(norm(Var(x)), {-1, -1.0 / 3, 2.0 / 3, 2, 0, 0, 0, 0});
  check_values((*norm.clone())(Var(x)), {-1, -1.0 / 3, 2.0 / 3, 2, 0, 0, 0, 0});
  GroupNorm plain(1, 2, {.affine = false});
  CHECK(names_of(plain).empty());
  GroupNorm unbiased(1, 2, {.bias = false});
  CHECK(names_of(unbiased) == Names{"weight"});
  const double rstd = 1 / std::sqrt(1 + 1e-5);
  check_values(unbiased(Var(Tensor::from<float>({1, 3}, {1, 2}))), {-rstd, rstd});
  norm.to(DType::f64);
  CHECK(norm(Var(x.to(DType::f64, Tag::data))).dtype() == DType::f64);
}

TEST_CASE("group norms that do not exist", "[group_norm]") {
  check_throws<ArgumentError>(
      [] { return GroupNorm(3, 4); },
      "[group_norm] the channels must be a multiple of the groups, both at least 1, got 4 and 3");
  check_throws<ArgumentError>(
      [] { return GroupNorm(0, 4); },
      "[group_norm] the channels must be a multiple of the groups, both at least 1, got 4 and 0");
  check_throws<ArgumentError>([] { return GroupNorm(2, 4, {.eps = 0}); },
                              "[group_norm] eps must be above 0, got 0");
  check_throws<ShapeError>([] { return LayerNorm(Shape{}); },
                           "[layer_norm] normalized_shape must have at least 1 dimension, got []");
  check_throws<ArgumentError>([] { return LayerNorm({4}, {.eps = -1}); },
                              "[layer_norm] eps must be above 0, got -1");
  GroupNorm norm(2, 4, {.affine = false});
  check_throws<ShapeError>(
      [&] {
        return norm(Var(Tensor::zeros({1, 6, 2}, DType::f32)));
      },
      "[group_norm] x must be [N,4,...], got [1,6,2]");
}
