#include <retrace/core/error.h>
#include <retrace/nn/lr_schedule.h>

#include "../support/catch.h"

using namespace retrace;

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

TEST_CASE("steps out of range", "[lr_schedule]") {
  CHECK_THROWS_AS(StepLR{}(-1), ArgumentError);
  CHECK_THROWS_WITH(StepLR{}(-1), "[StepLR] step must be at least 0 and step_size at least 1, got -1 and 1");
  CHECK_THROWS_WITH((StepLR{.step_size = 0}(5)),
                    "[StepLR] step must be at least 0 and step_size at least 1, got 5 and 0");
  CHECK_THROWS_AS(MultiStepLR{}(-1), ArgumentError);
  CHECK_THROWS_WITH(MultiStepLR{}(-1), "[MultiStepLR] step must be at least 0, got -1");
}
