#include <retrace/cli/optimizer.h>
#include <retrace/cli/options.h>
#include <retrace/cli/values.h>
#include <retrace/core/fail.h>
#include <retrace/nn/lr_schedule.h>
#include <retrace/nn/option_ranges.h>

namespace retrace::cli {

namespace {

constexpr double kSgdRate = 0.1;
constexpr double kSgdMomentum = 0.9;
constexpr double kSgdWeightDecay = 2e-4;
constexpr double kAdaptiveRate = 1e-3;
constexpr double kAdamWWeightDecay = AdamWOptions{}.weight_decay;

/// The choice with nothing left open.
struct Settled {
  bool sgd;
  double lr;
  double momentum;
  double weight_decay;

  explicit Settled(const OptimizerChoice& choice)
      : sgd(choice.name == "sgd"),
        lr(choice.lr.value_or(sgd ? kSgdRate : kAdaptiveRate)),
        momentum(choice.momentum.value_or(sgd ? kSgdMomentum : 0)),
        weight_decay(choice.weight_decay.value_or(sgd                      ? kSgdWeightDecay
                                                  : choice.name == "adamw" ? kAdamWWeightDecay
                                                                           : 0)) {}
};

}  // namespace

void add_optimizer_options(CLI::App& app, OptimizerChoice& choice) {
  app.add_option("--optimizer", choice.name, "sgd, adam, adamw or rmsprop")
      ->check(one_of({"sgd", "adam", "adamw", "rmsprop"}))
      ->capture_default_str()
      ->type_name("NAME");
  add_number(app, "--lr", choice.lr, kLearningRateRange,
             "learning rate, {} (default: 0.1, for all but sgd 0.001)")
      ->type_name("X");
  add_number(app, "--momentum", choice.momentum, kMomentumRange,
             "of sgd and rmsprop, {} (default: 0.9, for rmsprop 0)")
      ->type_name("X");
  add_number(app, "--weight-decay", choice.weight_decay, kWeightDecayRange,
             "{} (default: 2e-4, for adamw 0.01, for adam and rmsprop 0)")
      ->type_name("X");
  app.add_flag("--nesterov", choice.nesterov, "Nesterov's momentum, for sgd");
  app.add_option("--lr-schedule", choice.schedule,
                 "steps (falls after each of --lr-steps), linear or cosine (falls to 0 at the end)")
      ->check(one_of({"steps", "linear", "cosine"}))
      ->capture_default_str()
      ->type_name("NAME");
  add_number(app, "--lr-steps", choice.lr_steps, IntRange::at_least(0),
             "steps after which the rate falls, {}")
      ->delimiter(',')
      ->type_name("N,N,...");
  add_number(app, "--lr-decay", choice.lr_decay, kDecayFactorRange,
             "what the rate is multiplied with at --lr-steps, {}")
      ->capture_default_str()
      ->type_name("X");
  add_number(app, "--warmup", choice.warmup, kWarmupRange,
             "steps over which the rate rises to --lr, before it falls, {}")
      ->type_name("N");
}

std::unique_ptr<Optimizer> make_optimizer(const OptimizerChoice& choice, Module& network) {
  const Settled settled(choice);
  const std::vector<Parameter*> parameters = network.parameters();
  if (choice.nesterov && !settled.sgd)
    fail<ArgumentError>("optimizer", "--nesterov goes with sgd, got {}", choice.name);
  if (settled.sgd)
    return std::make_unique<SGD>(parameters, SgdOptions{.lr = settled.lr,
                                                        .momentum = settled.momentum,
                                                        .weight_decay = settled.weight_decay,
                                                        .nesterov = choice.nesterov});
  if (choice.name == "rmsprop")
    return std::make_unique<RMSprop>(
        parameters,
        RmspropOptions{.lr = settled.lr, .weight_decay = settled.weight_decay, .momentum = settled.momentum});
  if (choice.momentum)
    fail<ArgumentError>("optimizer", "{} takes no --momentum, got {}", choice.name, *choice.momentum);
  if (choice.name == "adamw")
    return std::make_unique<AdamW>(parameters,
                                   AdamWOptions{.lr = settled.lr, .weight_decay = settled.weight_decay});
  return std::make_unique<Adam>(parameters,
                                AdamOptions{.lr = settled.lr, .weight_decay = settled.weight_decay});
}

double learning_rate(const OptimizerChoice& choice, std::int64_t step, std::int64_t steps) {
  const double lr = Settled(choice).lr;
  if (choice.schedule == "linear")
    return LinearDecayLR{.lr = lr, .steps = steps, .warmup = choice.warmup}(step - 1);
  if (choice.schedule == "cosine")
    return CosineLR{.lr = lr, .steps = steps, .warmup = choice.warmup}(step - 1);
  return MultiStepLR{
      .lr = lr, .milestones = choice.lr_steps, .gamma = choice.lr_decay, .warmup = choice.warmup}(step - 1);
}

bool depends_on_steps(const OptimizerChoice& choice) { return choice.schedule != "steps"; }

Metadata metadata_of(const OptimizerChoice& choice) {
  const Settled settled(choice);
  return {{"optimizer", choice.name},
          {"lr", fmt::format("{}", settled.lr)},
          {"momentum", fmt::format("{}", settled.momentum)},
          {"weight-decay", fmt::format("{}", settled.weight_decay)},
          {"nesterov", choice.nesterov ? "yes" : "no"},
          {"lr-schedule", choice.schedule},
          {"lr-steps", list_of(choice.lr_steps)},
          {"lr-decay", fmt::format("{}", choice.lr_decay)},
          {"warmup", fmt::format("{}", choice.warmup)}};
}

}  // namespace retrace::cli
