#pragma once
#include <retrace/nn/module.h>
#include <retrace/nn/optimizer.h>
#include <retrace/nn/safetensors.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace retrace::cli {

/// How weights are learned. What is not given is what is usual with the optimizer: for sgd a rate of 0.1,
/// momentum 0.9 and weight decay 2e-4, for the others a rate of 0.001, no momentum, and no weight decay but
/// for adamw, which has 0.01.
struct OptimizerChoice {
  std::string name = "sgd";
  std::optional<double> lr{};
  std::optional<double> momentum{};
  std::optional<double> weight_decay{};
  bool nesterov = false;
  std::string schedule = "steps";
  std::int64_t warmup = 0;
  std::vector<std::int64_t> lr_steps{};
  double lr_decay = 0.1;
};

void add_optimizer_options(CLI::App& app, OptimizerChoice& choice);

/// Throws ArgumentError for options out of range.
std::unique_ptr<Optimizer> make_optimizer(const OptimizerChoice& choice, Module& network);

/// The learning rate of step `step` of `steps`, counted from 1: that of the MultiStepLR, LinearDecayLR or
/// CosineLR (nn/lr_schedule.h) of step - 1.
double learning_rate(const OptimizerChoice& choice, std::int64_t step, std::int64_t steps);
/// The learning rate depends on how many steps there are.
bool depends_on_steps(const OptimizerChoice& choice);

/// All of it as text: what must be the same when a run goes on.
Metadata metadata_of(const OptimizerChoice& choice);

}  // namespace retrace::cli
