#include <retrace/cli/demo.h>
#include <retrace/cli/exit.h>
#include <retrace/cli/measure.h>
#include <retrace/cli/run_folder.h>
#include <retrace/cli/train.h>
#include <retrace/core/file.h>
#include <retrace/core/format.h>
#include <retrace/nn/weights.h>

#include <algorithm>
#include <nlohmann/json.hpp>

namespace retrace::cli {

namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr std::int64_t kMeasuredBatch = 100;
constexpr std::int64_t kMeasuredSteps = 7;
constexpr double kMeasuredRate = 0.01;

TrainOptions training(const DemoOptions& options) {
  return {.network = {.name = "tiny", .channels = {16, 16, 32, 64}, .blocks = {2, 2, 2}},
          .data = {.name = "fashion-mnist", .folder = options.data_dir},
          .run = {.threads = options.threads},
          .optimizer = {.lr = 0.1, .schedule = "linear", .warmup = 40},
          .policy = "reversible",
          .batch = 50,
          .epochs = 2,
          .pad = 0,
          .out = options.out / "run",
          .quiet = options.quiet};
}

std::string command_of(const TrainOptions& t) {
  return fmt::format(
      "retrace train --network {} --channels {} --blocks {} --data {} --policy {} --batch {} --epochs {} "
      "--lr {} "
      "--lr-schedule {} --warmup {} --pad {} --out DIR",
      t.network.name, list_of(t.network.channels), list_of(t.network.blocks), t.data.name, t.policy, t.batch,
      t.epochs, *t.optimizer.lr, t.optimizer.schedule, t.optimizer.warmup, *t.pad);
}

void write_summary(const fs::path& path, const TrainOptions& trained, const TrainResult& result,
                   const std::vector<MemoryRun>& runs) {
  Json json = {{"data", trained.data.name},
               {"channels", trained.network.channels},
               {"blocks", trained.network.blocks},
               {"steps", result.steps},
               {"train_seconds", result.seconds},
               {"test_accuracy", result.test_accuracy.value()},
               {"runs", Json::array()}};
  for (const MemoryRun& run : runs) {
    Json row = json_of(run);
    row["loss"] = run.loss;
    json["runs"].push_back(std::move(row));
  }
  write_file_atomically(path, json.dump(2) + "\n");
}

/// A demonstration that was stopped does not go on.
TrainResult train_to_end(const TrainOptions& options) {
  try {
    return train(options);
  } catch (const InterruptedError& error) {
    throw InterruptedError("[demo] stopped by a signal; the next demo begins anew", error.signal());
  }
}

}  // namespace

int run_demo(const DemoOptions& options) {
  const TrainOptions trained = training(options);
  const std::shared_ptr<Dataset> data = load(trained.data, Split::train);
  RunFolder(trained.out).clear();
  fmt::print("Training a RevNet that keeps no activations, on {} images of clothes:\n  {}\n\n", data->size(),
             command_of(trained));
  std::fflush(stdout);
  const TrainResult result = train_to_end(trained);

  const NetworkOptions network_options = cli::network_options(trained.network, image_format(*data));
  const auto network = make_network(network_options, trained.run, Policy::stored);
  load_weights(*network, trained.out / "model.safetensors");
  const MeasureOptions measured{.name = trained.network.name,
                                .network = network_options,
                                .run = trained.run,
                                .policies = {Policy::stored, Policy::reversible},
                                .steps = kMeasuredSteps,
                                .lr = kMeasuredRate,
                                .from = network.get()};
  const Batch batch = first_batch(data, std::min(kMeasuredBatch, data->size()), trained.run);
  const std::vector<MemoryRun> runs = measure(measured, batch);
  write_summary(options.out / "summary.json", trained, result, runs);
  write_svg(
      options.out / "memory.svg",
      {.title = "Memory of one training step of the same network, two ways",
       .text = "The backward pass needs what every layer computed in the forward pass. Stored: all of it "
               "waits in memory. Reversible: each layer forgets it, and the backward pass computes it "
               "again from the layer's output.",
       .recordings = record_steps(measured, batch),
       .depths = {}});

  fmt::print(
      "Test accuracy {:.2f} % on {} images, after {} steps in {:.0f} s.\n\n"
      "The trained network, {} parameters, {} more steps with activations stored, and without:\n\n{}\n"
      "Picture: {}\nFigures: {}\n",
      100 * result.test_accuracy.value(), result.test_images, result.steps, result.seconds,
      runs.front().parameters, kMeasuredSteps + 1, table_of(runs, true),
      (options.out / "memory.svg").string(), (options.out / "summary.json").string());
  return kDone;
}

}  // namespace retrace::cli
