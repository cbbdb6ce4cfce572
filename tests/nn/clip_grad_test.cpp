#include <retrace/core/error.h>
#include <retrace/core/threads.h>
#include <retrace/nn/clip_grad.h>

#include <cmath>
#include <limits>

#include "../support/catch.h"
#include "../support/rounding.h"

using namespace retrace;
using test::roundings;

namespace {

/// A parameter of zeros in f64 with this gradient.
struct WithGrad : Parameter {
  explicit WithGrad(std::initializer_list<double> grad)
      : Parameter(Tensor::zeros({static_cast<std::int64_t>(grad.size())}, DType::f64)) {
    accumulate_grad(Tensor::from(grad, shape()));
  }
};

}  // namespace

TEST_CASE("gradients are scaled to a norm as one vector", "[clip_grad]") {
  Parameter a(Tensor::zeros({2}, DType::f64));
  Parameter b(Tensor::zeros({1}, DType::f32));
  Parameter none(Tensor::zeros({1}, DType::f64));
  a.accumulate_grad(Tensor::from<double>({2, -3}, {2}));
  b.accumulate_grad(Tensor::from<float>({6}, {1}));

  CHECK(clip_grad_norm({&a, &b, &none}, 100) == 7);  // 4 + 9 + 36 = 49
  CHECK(a.grad().to_vector<double>() == std::vector<double>{2, -3});

  CHECK(clip_grad_norm({&a, &b, &none}, 3.5) == 7);
  const double scale = 3.5 / (7 + 1e-6);
  CHECK(roundings(a.grad(), {2 * scale, -3 * scale}) <= 4);
  CHECK(roundings(b.grad().item(), 6 * scale, DType::f32) <= 4);
  CHECK_FALSE(none.has_grad());
  CHECK(clip_grad_norm({&none}, 1) == 0);
}

TEST_CASE("a norm that is not finite is seen", "[clip_grad]") {
  WithGrad p({1, std::numeric_limits<double>::infinity()});
  CHECK(std::isinf(clip_grad_norm({&p}, 1)));
  for (const double g : p.grad().to_vector<double>()) CHECK(std::isnan(g));
  WithGrad q({1, std::numeric_limits<double>::quiet_NaN()});
  CHECK(std::isnan(clip_grad_norm({&q}, 1)));
  CHECK(std::isnan(q.grad().to_vector<double>()[0]));
}

TEST_CASE("gradients are clamped", "[clip_grad]") {
  WithGrad p({-3, -0.5, 0, 0.5, 3, std::numeric_limits<double>::quiet_NaN()});
  clip_grad_value({&p}, 1);
  const auto grad = p.grad().to_vector<double>();
  CHECK(std::vector<double>(grad.begin(), grad.end() - 1) == std::vector<double>{-1, -0.5, 0, 0.5, 1});
  CHECK(std::isnan(grad.back()));
}

TEST_CASE("the norm does not depend on the number of threads", "[clip_grad]") {
  std::vector<float> values(40'003);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = 1 / static_cast<float>(i + 1);
  Parameter p(Tensor::zeros({40'003}, DType::f32));
  p.accumulate_grad(Tensor::from(std::span<const float>(values), {40'003}));
  const int before = num_threads();
  set_num_threads(1);
  const double one = clip_grad_norm({&p}, 100);
  set_num_threads(2);
  CHECK(clip_grad_norm({&p}, 100) == one);
  set_num_threads(before);
  double squares = 0;
  for (std::size_t i = values.size(); i-- > 0;) squares += static_cast<double>(values[i]) * values[i];
  CHECK(roundings(one, std::sqrt(squares), DType::f64) <= 4 * std::sqrt(40'003.0));  // sums in f64
}

TEST_CASE("limits and gradients that cannot be used", "[clip_grad]") {
  WithGrad p({1});
  CHECK_THROWS_AS(clip_grad_norm({&p}, -1), ArgumentError);
  CHECK_THROWS_WITH(clip_grad_norm({&p}, -1), "[clip_grad_norm] max_norm must be at least 0, got -1");
  CHECK_THROWS_AS(clip_grad_value({&p}, -1), ArgumentError);
  CHECK_THROWS_WITH(clip_grad_value({&p}, -1), "[clip_grad_value] limit must be at least 0, got -1");
  CHECK_THROWS_WITH(clip_grad_norm({&p, nullptr}, 0.5), "[clip_grad_norm] no parameter may be null");
  CHECK_THROWS_WITH(clip_grad_value({&p, nullptr}, 0.5), "[clip_grad_value] no parameter may be null");
  WithGrad bad({1});
  bad.invalidate_grad("backward failed in conv2d");
  CHECK_THROWS_AS(clip_grad_norm({&p, &bad}, 0.5), GradientError);
  CHECK_THROWS_AS(clip_grad_value({&p, &bad}, 0.5), GradientError);
  CHECK(p.grad().item() == 1);
}

TEST_CASE("no square of a gradient overflows or underflows", "[clip_grad]") {
  for (const double unit : {1e200, 1e-200, 1e-310, 0x1p-1074}) {
    CAPTURE(unit);
    WithGrad p({3 * unit, 0});
    WithGrad q({-4 * unit});
    CHECK(roundings(clip_grad_norm({&p, &q}, 1e300), 5 * unit, DType::f64) <= 6);
  }
  WithGrad p({3e200});
  WithGrad q({4e200});
  clip_grad_norm({&p, &q}, 1);
  CHECK(roundings(p.grad().item(), 0.6, DType::f64) <= 8);
  CHECK(roundings(q.grad().item(), 0.8, DType::f64) <= 8);
  WithGrad zero({0, 0});
  CHECK(clip_grad_norm({&zero}, 1) == 0);
}
