#include <retrace/autograd/autocast.h>
#include <retrace/cli/exit.h>
#include <retrace/cli/finite.h>
#include <retrace/cli/interruption.h>
#include <retrace/cli/names.h>
#include <retrace/cli/progress.h>
#include <retrace/cli/run_folder.h>
#include <retrace/cli/snapshot.h>
#include <retrace/cli/step.h>
#include <retrace/cli/train.h>
#include <retrace/core/fail.h>
#include <retrace/nn/data/load.h>

#include <chrono>
#include <cmath>
#include <csignal>

namespace retrace::cli {

namespace {

constexpr std::size_t kCheckpointsKept = 2;

/// Everything that can be wrong in the options and is known before the data is read.
const TrainOptions& checked(const TrainOptions& options) {
  check_use([&] {
    check_names(options.network, options.data);
    if (options.autocast != kNoAutocast && options.run.dtype != "f32")
      fail<ArgumentError>("train", "--autocast {} must go with --dtype f32, got {}", options.autocast,
                          options.run.dtype);
  });
  return options;
}

Augmentation augmentation_for(const TrainOptions& options, const Dataset& train) {
  Augmentation augmentation = usual_augmentation(options.data.name, train);
  augmentation.pad = options.pad.value_or(augmentation.pad);
  augmentation.flip = options.flip.value_or(augmentation.flip);
  return augmentation;
}

std::optional<DType> autocast_of(const TrainOptions& options) {
  if (options.autocast == kNoAutocast) return std::nullopt;
  return dtype_from_name(options.autocast);
}

bool scales_loss(const TrainOptions& options) { return autocast_of(options) == DType::f16; }

Batch first_of(Loader& loader) {
  loader.start_epoch(0);
  return *loader.next();
}

/// Throws ArgumentError unless the images fill a batch: a run with others would not be what was asked for.
void check_batch(const TrainOptions& options, const Dataset& train) {
  if (options.batch > train.size())
    fail<ArgumentError>("train", "--batch must be at most {}, the training images of {}, got {}",
                        train.size(), options.data.name, options.batch);
}

/// One training run, from its first or a later step to its last.
class Training {
 public:
  explicit Training(const TrainOptions& options);

  TrainResult run();

 private:
  LoaderOptions loader_options() const;
  Metadata metadata() const;
  void begin();
  void resume();
  void train_to_end(const Interruption& interruption);
  void step(std::int64_t number, const Batch& batch);
  Evaluation test(std::int64_t number);
  void save(std::int64_t number);
  std::optional<std::string> fault();
  std::string after_divergence() const;
  [[noreturn]] void stop(std::int64_t number, int signal);
  bool due(std::int64_t number, std::int64_t every) const;

  const TrainOptions& options_;
  Progress progress_;
  std::shared_ptr<Dataset> train_;
  std::shared_ptr<Dataset> test_;
  Augmentation augmentation_;
  NetworkOptions network_options_;
  Policy policy_;
  std::shared_ptr<ResidualNetwork> network_;
  std::unique_ptr<Optimizer> optimizer_;
  GradScaler scaler_;
  Loader loader_;
  Loader test_loader_;
  Batch probe_;  // the first test images
  RunFolder folder_;
  std::int64_t steps_;
  std::int64_t saved_ = 0;  // the step of the newest checkpoint
  TrainResult result_;
};

Training::Training(const TrainOptions& options)
    : options_(checked(options)),
      progress_(options.quiet),
      train_(load(options.data, Split::train)),
      test_(load(options.data, Split::test)),
      augmentation_(augmentation_for(options, *train_)),
      network_options_(network_options(options.network, image_format(*train_))),
      policy_(check_use([&] { return policy_for(options.policy, network_options_); })),
      network_(check_use([&] { return make_network(network_options_, options.run, policy_); })),
      optimizer_(check_use([&] { return make_optimizer(options.optimizer, *network_); })),
      scaler_({.enabled = scales_loss(options)}),
      loader_(check_use([&] {
        check_batch(options, *train_);
        return Loader(train_, loader_options());
      })),
      test_loader_(test_, loader_options().for_evaluation()),
      probe_(first_of(test_loader_)),
      folder_(options.out),
      steps_(options.steps > 0 ? options.steps
                               : std::max<std::int64_t>(options.epochs, 1) * loader_.batches()) {}

LoaderOptions Training::loader_options() const {
  return {.batch_size = options_.batch,
          .seed = options_.run.seed,
          .augmentation = augmentation_,
          .dtype = dtype_from_name(options_.run.dtype),
          .device = check_use([&] { return device_of(options_.run); })};
}

Metadata Training::metadata() const {
  Metadata all = network_metadata(options_.network.name, network_options_, options_.run.dtype);
  all.merge(data_metadata(options_.data.name, *train_, augmentation_));
  all.merge(metadata_of(options_.optimizer));
  all["policy"] = name_of(policy_);
  all["batch"] = std::to_string(options_.batch);
  all["seed"] = std::to_string(options_.run.seed);
  all["conv"] = options_.run.conv;
  all["autocast"] = options_.autocast;
  if (!options_.weights.empty()) all["weights"] = options_.weights.string();
  if (depends_on_steps(options_.optimizer)) all["steps"] = std::to_string(steps_);
  return all;
}

void Training::begin() {
  if (options_.resume) {
    resume();
  } else if (folder_.used()) {
    fail<UsageError>(
        "train",
        "--out must be a folder without a run, but {} holds one; go on with it (--resume), remove "
        "it, or give another folder",
        options_.out.string());
  }
  if (saved_ == 0 && !options_.weights.empty())
    load_named(*network_, load_weight_file(options_.weights), options_.names);
  const std::int64_t lines = folder_.open_log(saved_);
  if (lines < saved_)
    progress_.warn(
        fmt::format("{} holds {} of the {} steps before", folder_.log_path().string(), lines, saved_));
}

void Training::resume() {
  const std::vector<RunFolder::Checkpoint> checkpoints = folder_.checkpoints();
  for (const RunFolder::Checkpoint& checkpoint : checkpoints) {
    try {
      saved_ = load_snapshot(checkpoint.path, metadata(), *network_, *optimizer_, scaler_);
      if (const auto what = fault())
        fail<FormatError>("train", "{} is of a training that diverged: {}", checkpoint.path.string(), *what);
    } catch (const FormatError& error) {
      progress_.warn(fmt::format("passing over a checkpoint: {}", error.what()));
      continue;
    }
    if (saved_ > steps_)
      fail<UsageError>("train", "the run must not be past its last step {}, but {} is of step {}", steps_,
                       checkpoint.path.string(), saved_);
    progress_.say(fmt::format("going on from {}", checkpoint.path.string()));
    return;
  }
  if (!checkpoints.empty() || folder_.finished())
    fail<FormatError>(
        "train",
        "{} must hold a checkpoint to go on from, got {} that cannot be used{}; remove the folder to begin "
        "again, or give another one",
        options_.out.string(), checkpoints.size(), folder_.finished() ? " and final weights" : "");
}

bool Training::due(std::int64_t number, std::int64_t every) const {
  return number % (every > 0 ? every : loader_.batches()) == 0;
}

TrainResult Training::run() {
  begin();
  const auto start = std::chrono::steady_clock::now();
  train_to_end(Interruption());
  save_named(*network_, folder_.model_path(), metadata(), options_.names);
  progress_.say(fmt::format("weights: {}", folder_.model_path().string()));
  result_.steps = steps_;
  result_.test_images = test_->size();
  result_.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return result_;
}

void Training::train_to_end(const Interruption& interruption) {
  std::int64_t number = saved_;
  while (number < steps_) {
    loader_.start_epoch(number / loader_.batches(), number % loader_.batches());
    while (number < steps_) {
      const std::optional<Batch> batch = loader_.next();
      if (!batch) break;
      try {
        step(++number, *batch);
        if (interruption.signal() != 0 && number < steps_) stop(number, interruption.signal());
      } catch (const DivergedError& error) {
        throw DivergedError(fmt::format("{}; {}", error.what(), after_divergence()));
      }
    }
  }
}

void Training::step(std::int64_t number, const Batch& batch) {
  const double lr = learning_rate(options_.optimizer, number, steps_);
  optimizer_->set_lr(lr);
  const double scale = scaler_.get_scale();
  const StepResult step = training_step(*network_, *optimizer_, batch, number, {.scaler = &scaler_});
  check_parameters(*network_, number);
  LogLine line{.step = number,
               .loss = step.loss,
               .accuracy = static_cast<double>(step.correct) / static_cast<double>(batch.labels.numel()),
               .lr = lr,
               .after_forward_bytes = step.after_forward_bytes,
               .peak_bytes = step.peak_bytes};
  if (scaler_.is_enabled()) line.scale = scale;
  progress_.show({.step = number,
                  .steps = steps_,
                  .epoch = batch.epoch + 1,
                  .epochs = (steps_ + loader_.batches() - 1) / loader_.batches(),
                  .loss = step.loss,
                  .images = batch.labels.numel(),
                  .correct = step.correct});
  if (number == steps_ || due(number, options_.eval_every)) line.test = test(number);
  folder_.append(line);
  result_.loss = line.loss;
  if (number == steps_ || due(number, options_.checkpoint_every)) save(number);
}

Evaluation Training::test(std::int64_t number) {
  const Evaluation test = evaluate(*network_, test_loader_);
  if (!std::isfinite(test.loss))
    fail<DivergedError>("train", "the test loss must be finite, got {} after step {}", std::abs(test.loss),
                        number);
  result_.test_accuracy = test.accuracy;
  progress_.say(fmt::format("step {}: test accuracy {:.2f} %, test loss {:.4f}", number, 100 * test.accuracy,
                            test.loss));
  return test;
}

/// What the network and the optimizer hold, and what the network computes, must be finite before it is saved.
std::optional<std::string> Training::fault() {
  if (const auto name = first_not_finite(training_state(*network_, *optimizer_, scaler_)))
    return fmt::format("{} is not finite", *name);
  const Autocast off(std::nullopt);                                // f16 may overflow where f32 does not
  const double loss = std::abs(evaluate(*network_, probe_).loss);  // a NaN without its sign
  if (!std::isfinite(loss)) return fmt::format("the loss on the first test images is {}", loss);
  return std::nullopt;
}

void Training::save(std::int64_t number) {
  if (const auto what = fault()) fail<DivergedError>("train", "step {} diverged: {}", number, *what);
  folder_.sync_log();
  save_snapshot(folder_.checkpoint_path(number), metadata(), *network_, *optimizer_, scaler_, number);
  folder_.keep_newest(kCheckpointsKept);
  saved_ = number;
}

std::string Training::after_divergence() const {
  if (saved_ == 0) return "there is no checkpoint yet; begin again with a lower --lr";
  const std::string path = folder_.checkpoint_path(saved_).string();
  return fmt::format(
      "the last good checkpoint is {}; begin another run from its weights (--weights) with a lower --lr",
      path);
}

void Training::stop(std::int64_t number, int signal) {
  if (saved_ != number) save(number);
  throw InterruptedError(
      fmt::format("[train] stopped by {} after step {}; the same command with --resume goes on from {}",
                  signal == SIGINT ? "SIGINT" : "SIGTERM", number, folder_.checkpoint_path(number).string()),
      signal);
}

}  // namespace

TrainResult train(const TrainOptions& options) {
  apply(options.run);
  const Autocast scope(autocast_of(options));
  return Training(options).run();
}

}  // namespace retrace::cli
