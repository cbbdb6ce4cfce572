#include <retrace/core/fail.h>
#include <retrace/nn/lr_schedule.h>

#include <algorithm>
#include <cmath>

namespace retrace {

double StepLR::operator()(std::int64_t step) const {
  if (step < 0 || step_size < 1)
    fail<ArgumentError>("StepLR", "step must be at least 0 and step_size at least 1, got {} and {}", step,
                        step_size);
  return lr * std::pow(gamma, static_cast<double>(step / step_size));
}

double MultiStepLR::operator()(std::int64_t step) const {
  if (step < 0) fail<ArgumentError>("MultiStepLR", "step must be at least 0, got {}", step);
  const auto passed =
      std::ranges::count_if(milestones, [&](std::int64_t milestone) { return milestone <= step; });
  return lr * std::pow(gamma, static_cast<double>(passed));
}

}  // namespace retrace
