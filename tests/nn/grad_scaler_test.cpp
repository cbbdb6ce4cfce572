#include <retrace/autograd/ops.h>
#include <retrace/autograd/tape.h>
#include <retrace/nn/grad_scaler.h>

#include <limits>

#include "../support/catch.h"
#include "../support/throws.h"

using namespace retrace;
using namespace retrace::test;

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// One parameter with an optimizer, and gradients at will.
struct Model {
  Parameter w{Tensor::from<float>({1, 2}, {2})};
  SGD sgd{{&w}, {.lr = 0.5}};

  /// d(factor w1 + factor w2) = factor
  void backward(const GradScaler& scaler, double factor) {
    sgd.zero_grad();
    Tape tape;
    tape.backward(scaler.scale(sum(Var(w) * factor)));
  }
  std::vector<double> values() const { return w.value().to_vector<double>(); }
};

}  // namespace

TEST_CASE("a scaled step is the plain one", "[grad_scaler]") {
  Model scaled;
  Model plain;
  GradScaler scaler;
  CHECK(scaler.get_scale() == 65536);
  scaled.backward(scaler, 0.25);
  CHECK(scaled.w.grad().to_vector<double>() == std::vector<double>{16384, 16384});
  CHECK(scaler.step(scaled.sgd));
  scaler.update();
  CHECK(scaled.w.grad().to_vector<double>() == std::vector<double>{0.25, 0.25});
  plain.backward(GradScaler({.enabled = false}), 0.25);
  plain.sgd.step();
  CHECK(scaled.values() == plain.values());
  CHECK(scaler.get_scale() == 65536);
}

TEST_CASE("a step with an infinite or NaN gradient is left out, and the scale shrinks", "[grad_scaler]") {
  for (const double bad : {kInfinity, -kInfinity, std::numeric_limits<double>::quiet_NaN(), 1e35}) {
    Model model;
    GradScaler scaler;
    model.backward(scaler, bad);  // 1e35 times the scale is beyond f32
    CHECK_FALSE(scaler.step(model.sgd));
    CHECK(model.values() == std::vector<double>{1, 2});
    scaler.update();
    CHECK(scaler.get_scale() == 32768);
    model.backward(scaler, 1);
    CHECK(scaler.step(model.sgd));
    CHECK(model.values() == std::vector<double>{0.5, 1.5});
  }
}

TEST_CASE("the scale grows after growth_interval good iterations in a row", "[grad_scaler]") {
  Model model;
  GradScaler scaler({.init_scale = 8, .growth_factor = 4, .backoff_factor = 0.25, .growth_interval = 3});
  std::vector<double> scales;
  for (const double factor : {1.0, 1.0, 1.0, 1.0, 1.0, kInfinity, 1.0, 1.0, 1.0}) {
    model.backward(scaler, factor);
    scaler.step(model.sgd);
    scaler.update();
    scales.push_back(scaler.get_scale());
  }
  CHECK(scales == std::vector<double>{8, 8, 32, 32, 32, 8, 8, 8, 32});
  model.backward(scaler, 1);
  scaler.step(model.sgd);
  scaler.update(5);
  CHECK(scaler.get_scale() == 5);
}

TEST_CASE("a scale that would fall to 0 is an error", "[grad_scaler]") {
  Model model;
  GradScaler scaler({.init_scale = 0x1p-124});
  const auto overflow = [&] {
    model.backward(scaler, kInfinity);
    CHECK_FALSE(scaler.step(model.sgd));
    scaler.update();
  };
  overflow();
  overflow();
  CHECK(scaler.get_scale() == 0x1p-126);
  check_throws<GradientError>(overflow,
                              "[GradScaler] the scale must stay at least 1.1754943508222875e-38, but the "
                              "gradients are infinite or NaN at 1.1754943508222875e-38, too");
  CHECK(scaler.get_scale() == 0x1p-126);
}

TEST_CASE("a scale that f32 does not hold is not taken", "[grad_scaler]") {
  Model model;
  GradScaler scaler({.init_scale = 0x1p127, .growth_interval = 1});
  model.backward(scaler, 1e-30);
  CHECK(scaler.step(model.sgd));
  scaler.update();
  CHECK(scaler.get_scale() == 0x1p127);
}

TEST_CASE("unscale_ lets gradients be read before the step", "[grad_scaler]") {
  Model first;
  Model second;
  GradScaler scaler;
  first.backward(scaler, 1);
  second.backward(scaler, kInfinity);
  scaler.unscale_(first.sgd);
  CHECK(first.w.grad().to_vector<double>() == std::vector<double>{1, 1});
  CHECK(scaler.step(first.sgd));  // of several optimizers each is looked at alone
  CHECK_FALSE(scaler.step(second.sgd));
  scaler.update();
  CHECK(scaler.get_scale() == 32768);
}

TEST_CASE("calls out of order are errors", "[grad_scaler]") {
  Model model;
  GradScaler scaler;
  check_throws<GradientError>([&] { scaler.update(); },
                              "[GradScaler] update must come after a step or an unscale_, got neither since "
                              "the last update");
  model.backward(scaler, 1);
  scaler.unscale_(model.sgd);
  check_throws<GradientError>(
      [&] { scaler.unscale_(model.sgd); },
      "[GradScaler] unscale_ must be called once between two updates, got another call");
  scaler.step(model.sgd);
  check_throws<GradientError>([&] { scaler.step(model.sgd); },
                              "[GradScaler] step must be called once between two updates, got another call");
}

TEST_CASE("a disabled scaler does nothing of its own", "[grad_scaler]") {
  Model model;
  GradScaler scaler({.enabled = false});
  CHECK_FALSE(scaler.is_enabled());
  CHECK(scaler.get_scale() == 1);
  model.backward(scaler, 1);
  scaler.unscale_(model.sgd);
  CHECK(scaler.step(model.sgd));
  CHECK(model.values() == std::vector<double>{0.5, 1.5});
  scaler.update();
  scaler.update(3);
  CHECK(scaler.get_scale() == 1);
}

TEST_CASE("a scaler goes on from its state", "[grad_scaler]") {
  Model model;
  GradScaler scaler({.init_scale = 4, .growth_interval = 3});
  for (int i = 0; i < 2; ++i) {
    model.backward(scaler, 1);
    scaler.step(model.sgd);
    scaler.update();
  }
  GradScaler other;
  other.load_state(scaler.state());
  model.backward(other, 1);
  other.step(model.sgd);
  other.update();
  CHECK(other.get_scale() == 8);

  auto state = scaler.state();
  state[0].second = Tensor::full({}, -1, DType::f64);
  check_throws<ArgumentError>([&] { other.load_state(state); },
                              "[GradScaler] the scale must be above 0, got -1");
  state = scaler.state();
  state[4].second = Tensor::full({}, -1, DType::f64);
  check_throws<ArgumentError>([&] { other.load_state(state); },
                              "[GradScaler] growth_tracker must be in [0,3), got -1");
  state[4].second = Tensor::from<std::int64_t>({std::numeric_limits<std::int64_t>::max()}, {});
  check_throws<ArgumentError>([&] { other.load_state(state); },
                              "[GradScaler] growth_tracker must be in [0,3), got 9223372036854775807");
  state[4].first = "tracker";
  check_throws<ArgumentError>([&] { other.load_state(state); },
                              "[GradScaler] the state must have 'growth_tracker', got 'tracker'");
  state.pop_back();
  check_throws<ArgumentError>([&] { other.load_state(state); },
                              "[GradScaler] the state must have 5 tensors, got 4");
  CHECK(other.get_scale() == 8);
}

TEST_CASE("a scaler with options out of range", "[grad_scaler]") {
  const auto make = [](const GradScalerOptions& options) {
    return [=] { const GradScaler scaler(options); };
  };
  check_throws<ArgumentError>(make({.init_scale = 0}), "[GradScaler] the scale must be above 0, got 0");
  check_throws<ArgumentError>(make({.growth_factor = 1}),
                              "[GradScaler] growth_factor must be above 1, got 1");
  constexpr double kInf = std::numeric_limits<double>::infinity();
  check_throws<ArgumentError>(make({.init_scale = kInf}), "[GradScaler] the scale must be finite, got inf");
  check_throws<ArgumentError>(make({.growth_factor = kInf}),
                              "[GradScaler] growth_factor must be finite, got inf");
  check_throws<ArgumentError>(make({.backoff_factor = 1}),
                              "[GradScaler] backoff_factor must be in (0,1), got 1");
  check_throws<ArgumentError>(make({.growth_interval = 0}),
                              "[GradScaler] growth_interval must be at least 1, got 0");
}

TEST_CASE("a large gradient in f64 is no overflow", "[grad_scaler]") {
  Parameter w{Tensor::from<double>({1, 2}, {2})};
  SGD sgd({&w}, {.lr = 1e-200});
  GradScaler scaler({.init_scale = 3});
  w.accumulate_grad(Tensor::from<double>({3e200, 5}, {2}));
  CHECK(scaler.step(sgd));
  CHECK(w.grad().to_vector<double>() == std::vector<double>{3e200 / 3, 5.0 / 3});
  w.zero_grad();
  w.accumulate_grad(Tensor::from<double>({3e200, kInfinity}, {2}));
  scaler.update();
  CHECK_FALSE(scaler.step(sgd));
}
