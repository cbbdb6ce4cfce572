#pragma once
#include <cstdint>
#include <vector>

namespace retrace {

/// The learning rate lr gamma^floor(step / step_size). A schedule is a function of the step (or the epoch)
/// alone, so there is nothing to save and to resume: `optimizer.set_lr(schedule(step))`.
struct StepLR {
  double lr = 0.1;
  std::int64_t step_size = 1;
  double gamma = 0.1;

  /// Throws ArgumentError for a negative step or a step_size below 1.
  double operator()(std::int64_t step) const;
};

/// The learning rate lr gamma^m, where m of the milestones are at most `step`.
struct MultiStepLR {
  double lr = 0.1;
  std::vector<std::int64_t> milestones{};
  double gamma = 0.1;

  /// Throws ArgumentError for a negative step.
  double operator()(std::int64_t step) const;
};

}  // namespace retrace
