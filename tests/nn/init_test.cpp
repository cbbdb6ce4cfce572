#include <retrace/core/error.h>
#include <retrace/core/random.h>
#include <retrace/nn/init.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "../support/catch.h"

using namespace retrace;

namespace {

struct Moments {
  double mean = 0;
  double std = 0;
  double low = 0;
  double high = 0;

  explicit Moments(const Tensor& x) {
    const auto values = x.to_vector<double>();
    const auto n = static_cast<double>(values.size());
    for (const double v : values) mean += v / n;
    for (const double v : values) std += (v - mean) * (v - mean) / n;
    std = std::sqrt(std);
    low = *std::ranges::min_element(values);
    high = *std::ranges::max_element(values);
  }
};

/// Uniform around 0: nothing beyond the bound, and values close to it on both sides.
void check_uniform(const Tensor& x, double bound) {
  const Moments m(x);
  CHECK(m.low >= -bound);
  CHECK(m.high <= bound);
  CHECK(m.low < -0.99 * bound);
  CHECK(m.high > 0.99 * bound);
  // Five standard errors of n numbers; the fourth moment is 9/5 of the variance's square.
  const auto n = static_cast<double>(x.numel());
  const double std = bound / std::sqrt(3.0);
  CHECK(std::abs(m.mean) < 5 * std / std::sqrt(n));
  CHECK(std::abs(m.std / std - 1) < 5 * std::sqrt((9.0 / 5 - 1) / (4 * n)));
}

void check_normal(const Tensor& x, double std) {
  const Moments m(x);
  const auto n = static_cast<double>(x.numel());
  CHECK(std::abs(m.mean) < 5 * std / std::sqrt(n));
  CHECK(std::abs(m.std / std - 1) < 5 / std::sqrt(2 * n));
  CHECK(m.high > 2.8 * std);  // of 7200 values 18 should be
  CHECK(m.low < -2.8 * std);
}

const Shape kWeights{40, 20, 3, 3};  // fan in 180, fan out 360

}  // namespace

TEST_CASE("fans count the field of a kernel", "[init]") {
  CHECK(init::fans_of({5, 7}).in == 7);
  CHECK(init::fans_of({5, 7}).out == 5);
  CHECK(init::fans_of(kWeights).in == 180);
  CHECK(init::fans_of(kWeights).out == 360);
  CHECK_THROWS_AS(init::fans_of({5}), ShapeError);
  CHECK_THROWS_WITH(init::fans_of({5}), "[init] weights with a fan must be [out,in,...], got [5]");
}

TEST_CASE("distributions have the moments that their names promise", "[init]") {
  manual_seed(1);
  for (const DType dtype : {DType::f32, DType::f64}) {
    Tensor w(kWeights, dtype);
    init::uniform(w, -0.5, 0.5);
    check_uniform(w, 0.5);
    init::normal(w, 0, 2);
    check_normal(w, 2);
    init::he_normal(w);
    check_normal(w, std::sqrt(2.0 / 180));
    init::he_normal(w, init::Fan::out);
    check_normal(w, std::sqrt(2.0 / 360));
    init::he_normal(w, init::Fan::in, 0.5);
    check_normal(w, std::sqrt(2 / 1.25 / 180));
    init::he_uniform(w);
    check_uniform(w, std::sqrt(6.0 / 180));
    init::he_uniform(w, init::Fan::out, std::sqrt(5.0));
    check_uniform(w, 1 / std::sqrt(360.0));
    init::xavier_normal(w);
    check_normal(w, std::sqrt(2.0 / 540));
    init::xavier_uniform(w, 2);
    check_uniform(w, 2 * std::sqrt(6.0 / 540));
    init::constant(w, 0.25);
    CHECK(Moments(w).low == 0.25);
    CHECK(Moments(w).high == 0.25);
  }
}

TEST_CASE("a layer begins as PyTorch's does", "[init]") {
  manual_seed(2);
  Tensor w(kWeights, DType::f32);
  Tensor bias({4000}, DType::f32);
  init::layer_default(w, bias);
  check_uniform(w, 1 / std::sqrt(180.0));
  check_uniform(bias, 1 / std::sqrt(180.0));
  Tensor none;
  init::layer_default(w, none);
  CHECK_FALSE(none.defined());
}

TEST_CASE("the seed decides, and no two draws are alike", "[init]") {
  const auto draw = [] {
    Tensor w({100}, DType::f32);
    init::normal(w);
    return w.to_vector<float>();
  };
  manual_seed(3);
  const auto first = draw();
  const auto second = draw();
  CHECK(first != second);
  manual_seed(3);
  CHECK(draw() == first);
  CHECK(draw() == second);
  manual_seed(4);
  CHECK(draw() != first);
}

TEST_CASE("distributions that do not exist", "[init]") {
  Tensor w({2, 2}, DType::f32);
  CHECK_THROWS_AS(init::uniform(w, 1, 0), ArgumentError);
  CHECK_THROWS_WITH(init::uniform(w, 1, 0),
                    "[init] a uniform distribution must have finite bounds low <= high, got 1 and 0");
  CHECK_THROWS_AS(init::uniform(w, 0, std::numeric_limits<double>::infinity()), ArgumentError);
  CHECK_THROWS_AS(init::normal(w, 0, -1), ArgumentError);
  CHECK_THROWS_WITH(init::normal(w, std::nan("")), "[init] a mean must be finite, got nan");
  CHECK_THROWS_WITH(init::normal(w, 0, -1), "[init] a standard deviation must be at least 0, got -1");
  constexpr double kInf = std::numeric_limits<double>::infinity();
  for (const auto he : {&init::he_normal, &init::he_uniform})
    CHECK_THROWS_WITH(he(w, init::Fan::in, kInf), "[init] negative_slope must be finite, got inf");
  Tensor labels({2, 2}, DType::i64);
  CHECK_THROWS_AS(init::uniform(labels, 0, 1), DTypeError);
  Tensor vector({2}, DType::f32);
  CHECK_THROWS_AS(init::he_normal(vector), ShapeError);
  CHECK_THROWS_AS(init::xavier_uniform(vector), ShapeError);
}
