#include <retrace/core/error.h>
#include <retrace/nn/lr_schedule.h>

#include <limits>

#include "../support/catch.h"
#include "../support/rounding.h"

using namespace retrace;
using test::roundings;

namespace {

template <class Schedule>
std::vector<double> rates(const Schedule& schedule, std::int64_t steps) {
  std::vector<double> result;
  for (std::int64_t step = 0; step < steps; ++step) result.push_back(schedule(step));
  return result;
}

}  // namespace

TEST_CASE("the learning rate falls every step_size steps", "[lr_schedule]") {
  const StepLR schedule{.lr = 0.5, .step_size = 3, .gamma = 0.5};
  CHECK(rates(schedule, 8) == std::vector<double>{0.5, 0.5, 0.5, 0.25, 0.25, 0.25, 0.125, 0.125});
}

TEST_CASE("the learning rate falls at milestones", "[lr_schedule]") {
  const MultiStepLR schedule{.lr = 1, .milestones = {2, 4, 4}, .gamma = 0.5};
  CHECK(rates(schedule, 6) == std::vector<double>{1, 1, 0.5, 0.5, 0.125, 0.125});
  CHECK(rates(MultiStepLR{.lr = 0.25}, 2) == std::vector<double>{0.25, 0.25});
}

TEST_CASE("the learning rate falls as a cosine", "[lr_schedule]") {
  // PyTorch's CosineAnnealingLR(T_max = 6, eta_min = 0.05)
  const std::vector<double> expected = {0.5,    0.4698557158514987, 0.3875, 0.275,
                                        0.1625, 0.0801442841485013, 0.05};
  const std::vector<double> got = rates(CosineLR{.lr = 0.5, .steps = 6, .min_lr = 0.05}, 7);
  for (std::size_t step = 0; step < 7; ++step)
    CHECK(roundings(got[step], expected[step], DType::f64) <= 16);  // of a sum as large as 0.5
  CHECK(CosineLR{.lr = 0.5, .steps = 6, .min_lr = 0.05}(1000) == 0.05);
}

TEST_CASE("the learning rate falls along a line", "[lr_schedule]") {
  CHECK(rates(LinearDecayLR{.lr = 1, .steps = 4}, 6) == std::vector<double>{1, 0.75, 0.5, 0.25, 0, 0});
  CHECK(rates(LinearDecayLR{.lr = 1, .steps = 2, .min_lr = 0.5}, 3) == std::vector<double>{1, 0.75, 0.5});
}

TEST_CASE("the learning rate rises before it falls", "[lr_schedule]") {
  CHECK(rates(LinearDecayLR{.lr = 1, .steps = 5, .warmup = 3}, 6) ==
        std::vector<double>{0.25, 0.5, 0.75, 1, 0.5, 0});
  const std::vector<double> cosine = rates(CosineLR{.lr = 2, .steps = 3, .warmup = 1, .min_lr = 1}, 4);
  CHECK(cosine[0] == 1);
  CHECK(cosine[1] == 2);
  CHECK(roundings(cosine[2], 1.5, DType::f64) <= 4);
  CHECK(cosine[3] == 1);
  CHECK(rates(CosineLR{.lr = 1, .steps = 2, .warmup = 3}, 4) == std::vector<double>{0.25, 0.5, 0.75, 0});
  CHECK(rates(StepLR{.lr = 1, .step_size = 2, .gamma = 0.5, .warmup = 3}, 5) ==
        std::vector<double>{0.25, 0.5, 0.375, 0.5, 0.25});
  CHECK(rates(MultiStepLR{.lr = 1, .milestones = {4}, .gamma = 0.5, .warmup = 1}, 5) ==
        std::vector<double>{0.5, 1, 1, 1, 0.5});
}

TEST_CASE("steps out of range", "[lr_schedule]") {
  CHECK_THROWS_AS(StepLR{}(-1), ArgumentError);
  CHECK_THROWS_WITH(StepLR{}(-1), "[StepLR] step must be at least 0, got -1");
  CHECK_THROWS_WITH((StepLR{.step_size = 0}(5)), "[StepLR] step_size must be at least 1, got 0");
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  constexpr double kInf = std::numeric_limits<double>::infinity();
  CHECK_THROWS_WITH((StepLR{.lr = kNan}(0)), "[StepLR] lr must be at least 0, got nan");
  CHECK_THROWS_WITH((StepLR{.gamma = kInf}(0)), "[StepLR] gamma must be finite, got inf");
  CHECK_THROWS_WITH((MultiStepLR{.gamma = -1}(0)), "[MultiStepLR] gamma must be at least 0, got -1");
  CHECK_THROWS_WITH((CosineLR{.lr = kInf}(0)), "[CosineLR] lr must be finite, got inf");
  CHECK_THROWS_WITH((LinearDecayLR{.min_lr = kNan}(0)), "[LinearDecayLR] min_lr must be at least 0, got nan");
  CHECK_THROWS_AS(MultiStepLR{}(-1), ArgumentError);
  CHECK_THROWS_WITH(MultiStepLR{}(-1), "[MultiStepLR] step must be at least 0, got -1");
  CHECK_THROWS_WITH((MultiStepLR{.warmup = -2}(0)), "[MultiStepLR] warmup must be at least 0, got -2");
  CHECK_THROWS_WITH((MultiStepLR{.milestones = {3, -1}}(0)),
                    "[MultiStepLR] a milestone must be at least 0, got -1");
  CHECK_THROWS_AS(CosineLR{}(-1), ArgumentError);
  CHECK_THROWS_WITH(CosineLR{}(-1), "[CosineLR] step must be at least 0, got -1");
  CHECK_THROWS_WITH((CosineLR{.steps = 0}(0)), "[CosineLR] steps must be at least 1, got 0");
  CHECK_THROWS_WITH((LinearDecayLR{.warmup = -1}(0)), "[LinearDecayLR] warmup must be at least 0, got -1");
}
