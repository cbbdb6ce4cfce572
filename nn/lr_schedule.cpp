#include <retrace/nn/lr_schedule.h>
#include <retrace/nn/option_ranges.h>

#include <algorithm>
#include <cmath>
#include <numbers>

namespace retrace {

namespace {

void check(std::string_view op, std::int64_t step, std::int64_t warmup, double lr) {
  IntRange::at_least(0).check(op, "step", step);
  kWarmupRange.check(op, "warmup", warmup);
  kLearningRateRange.check(op, "lr", lr);
}

void check_factor(std::string_view op, double gamma) { kDecayFactorRange.check(op, "gamma", gamma); }

/// The part of the rate that the warm-up has reached.
double risen(std::int64_t step, std::int64_t warmup) {
  return step < warmup ? (static_cast<double>(step) + 1) / (static_cast<double>(warmup) + 1) : 1;
}

/// A rate that falls with `shape` from 1, after the warm-up, to 0, after all steps.
template <class Schedule, class F>
double falling(std::string_view op, const Schedule& s, std::int64_t step, const F& shape) {
  check(op, step, s.warmup, s.lr);
  kCountRange.check(op, "steps", s.steps);
  kLearningRateRange.check(op, "min_lr", s.min_lr);
  if (step < s.warmup) return s.lr * risen(step, s.warmup);
  if (step >= s.steps) return s.min_lr;
  const double done = static_cast<double>(step - s.warmup) / static_cast<double>(s.steps - s.warmup);
  return s.min_lr + (s.lr - s.min_lr) * shape(done);
}

}  // namespace

double StepLR::operator()(std::int64_t step) const {
  check("StepLR", step, warmup, lr);
  check_factor("StepLR", gamma);
  kCountRange.check("StepLR", "step_size", step_size);
  const std::int64_t falls = step / step_size;
  return lr * risen(step, warmup) * std::pow(gamma, static_cast<double>(falls));
}

double MultiStepLR::operator()(std::int64_t step) const {
  check("MultiStepLR", step, warmup, lr);
  check_factor("MultiStepLR", gamma);
  for (const std::int64_t milestone : milestones)
    IntRange::at_least(0).check("MultiStepLR", "a milestone", milestone);
  const auto passed =
      std::ranges::count_if(milestones, [&](std::int64_t milestone) { return milestone <= step; });
  return lr * risen(step, warmup) * std::pow(gamma, static_cast<double>(passed));
}

double CosineLR::operator()(std::int64_t step) const {
  return falling("CosineLR", *this, step,
                 [](double done) { return (1 + std::cos(std::numbers::pi * done)) / 2; });
}

double LinearDecayLR::operator()(std::int64_t step) const {
  return falling("LinearDecayLR", *this, step, [](double done) { return 1 - done; });
}

}  // namespace retrace
