// Optimizers over six steps of given gradients, and schedules, against PyTorch's.
#include <retrace/nn/lr_schedule.h>
#include <retrace/nn/optimizer.h>

#include <functional>
#include <memory>

#include "../support/catch.h"
#include "golden.h"

using namespace retrace;
using namespace retrace::test;

namespace {

constexpr int kSteps = 6;

using MakeOptimizer = std::function<std::unique_ptr<Optimizer>(std::vector<Parameter*>)>;

template <class O, class Options>
MakeOptimizer make(const Options& options) {
  return [=](std::vector<Parameter*> p) { return std::make_unique<O>(std::move(p), options); };
}
MakeOptimizer sgd(const SgdOptions& options) { return make<SGD>(options); }
MakeOptimizer adam(const AdamOptions& options) { return make<Adam>(options); }
MakeOptimizer adamw(const AdamWOptions& options) { return make<AdamW>(options); }
MakeOptimizer rmsprop(const RmspropOptions& options) { return make<RMSprop>(options); }

const std::map<std::string, MakeOptimizer>& optimizers() {
  static const std::map<std::string, MakeOptimizer> all = {
      {"sgd", sgd({.lr = 0.1})},
      {"sgd momentum", sgd({.lr = 0.1, .momentum = 0.9})},
      {"sgd momentum weight decay", sgd({.lr = 0.1, .momentum = 0.9, .weight_decay = 0.1})},
      {"sgd dampening", sgd({.lr = 0.1, .momentum = 0.9, .dampening = 0.3, .weight_decay = 0.1})},
      {"sgd nesterov", sgd({.lr = 0.1, .momentum = 0.9, .weight_decay = 0.1, .nesterov = true})},
      {"adam", adam({.lr = 0.05})},
      {"adam options", adam({.lr = 0.05, .beta1 = 0.8, .beta2 = 0.95, .eps = 1e-3, .weight_decay = 0.1})},
      {"adamw", adamw({.lr = 0.05})},
      {"adamw options", adamw({.lr = 0.05, .beta1 = 0.8, .beta2 = 0.95, .eps = 1e-3, .weight_decay = 0.1})},
      {"rmsprop", rmsprop({.lr = 0.05})},
      {"rmsprop momentum", rmsprop({.lr = 0.05, .alpha = 0.9, .weight_decay = 0.1, .momentum = 0.5})},
      {"rmsprop centered", rmsprop({.lr = 0.05, .alpha = 0.9, .eps = 1e-3, .centered = true})},
      {"rmsprop all", rmsprop({.lr = 0.05, .alpha = 0.9, .eps = 1e-3, .momentum = 0.5, .centered = true})},
  };
  return all;
}

/// Six steps; in the third one, `b` has no gradient.
void check_steps(GoldenCase& golden, const MakeOptimizer& make_optimizer) {
  Parameter a(golden.take("param", "a"));
  Parameter b(golden.take("param", "b"));
  const std::vector<Named<Parameter*>> parameters = {{"a", &a}, {"b", &b}};
  const std::unique_ptr<Optimizer> optimizer = make_optimizer({&a, &b});
  for (int step = 0; step < kSteps; ++step) {
    const std::string number = "." + std::to_string(step);
    for (const auto& [name, parameter] : parameters)
      if (golden.has("in", name + number))
        parameter->accumulate_grad(golden.take("in", name + number).clone(Tag::gradient));
    optimizer->step();
    optimizer->zero_grad();
    for (const auto& [name, parameter] : parameters) golden.check("out", name + number, parameter->value());
  }
  for (const auto& [name, tensor] : optimizer->state())
    if (name != "step") golden.check("after", name, tensor);
}

using Schedule = std::function<double(std::int64_t)>;

const std::map<std::string, Schedule>& schedules() {
  static const std::map<std::string, Schedule> all = {
      {"step", StepLR{.lr = 0.5, .step_size = 3, .gamma = 0.3}},
      {"multi step", MultiStepLR{.lr = 0.5, .milestones = {2, 5, 5, 9}, .gamma = 0.3}},
      {"multi step with warm-up", MultiStepLR{.lr = 0.5, .milestones = {2, 7}, .gamma = 0.3, .warmup = 4}},
      {"cosine", CosineLR{.lr = 0.5, .steps = 10, .min_lr = 0.05}},
      {"cosine with warm-up", CosineLR{.lr = 0.5, .steps = 14, .warmup = 4, .min_lr = 0.05}},
      {"linear", LinearDecayLR{.lr = 0.5, .steps = 10}},
  };
  return all;
}

template <class Table>
std::set<std::string> names(const Table& table) {
  std::set<std::string> result;
  for (const auto& entry : table) result.insert(entry.first);
  return result;
}

}  // namespace

TEST_CASE("optimizers step as PyTorch's", "[training]") {
  const GoldenFile file("optimizers");
  for (const auto& entry : optimizers())
    in_both_types(file, entry.first, [&](GoldenCase& golden) { check_steps(golden, entry.second); });
  CHECK(file.cases() == names(optimizers()));
}

TEST_CASE("learning rates fall as PyTorch's", "[training]") {
  const GoldenFile file("schedules");
  for (const auto& entry : schedules()) {
    GoldenCase golden(file, entry.first, DType::f64);
    std::vector<double> rates(static_cast<std::size_t>(golden.take("expect", "rates").numel()));
    for (std::size_t step = 0; step < rates.size(); ++step)
      rates[step] = entry.second(static_cast<std::int64_t>(step));
    const Shape shape{static_cast<std::int64_t>(rates.size())};
    golden.check("expect", "rates", Tensor::from(std::span<const double>(rates), shape));
    golden.check_all_used();
  }
  CHECK(file.cases() == names(schedules()));
}
