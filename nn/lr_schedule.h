#pragma once
#include <cstdint>
#include <vector>

namespace retrace {

/// @file
/// A schedule is a function of the step (or the epoch), counted from 0, alone, so there is nothing to save
/// and to resume: `optimizer.set_lr(schedule(step))`. Each can begin with a warm-up, in which the rate rises
/// linearly to lr: step s of the first `warmup` ones has (s + 1) / (warmup + 1) of it.

/// lr gamma^floor(step / step_size).
struct StepLR {
  double lr = 0.1;             ///< the learning rate that the others scale
  std::int64_t step_size = 1;  ///< steps from one fall to the next
  double gamma = 0.1;          ///< what a fall multiplies the rate by
  std::int64_t warmup = 0;     ///< steps, in which the rate also falls

  /// Throws ArgumentError for a negative step or warmup, or a step_size below 1.
  double operator()(std::int64_t step) const;
};

/// lr gamma^m, where m of the milestones are at most `step`.
struct MultiStepLR {
  double lr = 0.1;                         ///< the learning rate in front of the first milestone
  std::vector<std::int64_t> milestones{};  ///< steps from which on the rate is lower
  double gamma = 0.1;                      ///< what a fall multiplies the rate by
  std::int64_t warmup = 0;                 ///< steps, in which the rate also falls

  /// Throws ArgumentError for a negative step, warmup or milestone.
  double operator()(std::int64_t step) const;
};

/// min_lr + (lr - min_lr) (1 + cos(pi t)) / 2, where t goes from 0, after the warm-up, to 1, after `steps` in
/// all; from then on min_lr. Loshchilov, Hutter: "SGDR", ICLR 2017, without restarts.
struct CosineLR {
  double lr = 0.1;          ///< the learning rate after the warm-up
  std::int64_t steps = 1;   ///< in all, with the warm-up
  std::int64_t warmup = 0;  ///< steps
  double min_lr = 0;        ///< the last one

  /// Throws ArgumentError for a negative step or warmup, or `steps` below 1.
  double operator()(std::int64_t step) const;
};

/// min_lr + (lr - min_lr) (1 - t), with t as in CosineLR.
struct LinearDecayLR {
  double lr = 0.1;          ///< the learning rate after the warm-up
  std::int64_t steps = 1;   ///< in all, with the warm-up
  std::int64_t warmup = 0;  ///< steps
  double min_lr = 0;        ///< the last one

  /// Throws ArgumentError for a negative step or warmup, or `steps` below 1.
  double operator()(std::int64_t step) const;
};

}  // namespace retrace
