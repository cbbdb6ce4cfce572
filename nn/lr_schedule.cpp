#include <retrace/core/fail.h>
#include <retrace/nn/lr_schedule.h>

#include <algorithm>
#include <cmath>
#include <numbers>

namespace retrace {

namespace {

void check(std::string_view op, std::int64_t step, std::int64_t warmup) {
  if (step < 0) fail<ArgumentError>(op, "step must be at least 0, got {}", step);
  if (warmup < 0) fail<ArgumentError>(op, "warmup must be at least 0, got {}", warmup);
}

/// The part of the rate that the warm-up has reached.
double risen(std::int64_t step, std::int64_t warmup) {
  return step < warmup ? (static_cast<double>(step) + 1) / (static_cast<double>(warmup) + 1) : 1;
}

/// A rate that falls with `shape` from 1, after the warm-up, to 0, after all steps.
template <class Schedule, class F>
double falling(std::string_view op, const Schedule& s, std::int64_t step, const F& shape) {
  check(op, step, s.warmup);
  if (s.steps < 1) fail<ArgumentError>(op, "steps must be at least 1, got {}", s.steps);
  if (step < s.warmup) return s.lr * risen(step, s.warmup);
  if (step >= s.steps) return s.min_lr;
  const double done = static_cast<double>(step - s.warmup) / static_cast<double>(s.steps - s.warmup);
  return s.min_lr + (s.lr - s.min_lr) * shape(done);
}

}  // namespace

double StepLR::operator()(std::int64_t step) const {
  check("StepLR", step, warmup);
  if (step_size < 1) fail<ArgumentError>("StepLR", "step_size must be at least 1, got {}", step_size);
  const std::int64_t falls = step / step_size;
  return lr * risen(step, warmup) * std::pow(gamma, static_cast<double>(falls));
}

double MultiStepLR::operator()(std::int64_t step) const {
  check("MultiStepLR", step, warmup);
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
