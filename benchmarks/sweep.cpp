// How a training step's cost grows with depth, width and batch, beside its arithmetic: `sweep --help`.
#include <retrace/cli/exit.h>
#include <retrace/cli/measure.h>
#include <retrace/core/format.h>
#include <retrace/core/threads.h>
#include <retrace/nn/conv2d.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <nlohmann/json.hpp>

using namespace retrace;
using namespace retrace::cli;

namespace {

struct Options {
  std::vector<std::string> sweeps{"depth", "width", "batch"};
  std::int64_t steps = 5;
  RunChoice run{};
  bool json = false;
};

/// revnet38 with one thing changed.
struct Variant {
  std::string_view sweep;
  std::int64_t blocks = 3;  ///< of each stage
  std::int64_t halves = 2;  ///< of revnet38's width
  std::int64_t batch = 100;
};

constexpr Variant kVariants[] = {
    {.sweep = "depth"},
    {.sweep = "depth", .blocks = 6},
    {.sweep = "depth", .blocks = 12},
    {.sweep = "depth", .blocks = 24},
    {.sweep = "width", .halves = 1},
    {.sweep = "width"},
    {.sweep = "width", .halves = 4},
    {.sweep = "batch", .batch = 25},
    {.sweep = "batch", .batch = 50},
    {.sweep = "batch"},
    {.sweep = "batch", .batch = 200},
};

NetworkOptions network_of(const Variant& variant) {
  NetworkChoice choice{.name = "revnet38"};
  choice.blocks.assign(3, variant.blocks);
  for (const std::int64_t channels : {32, 32, 64, 112})
    choice.channels.push_back(channels * variant.halves / 2);
  return network_options(choice, image_format("synthetic"));
}

/// Multiplications and additions of one forward pass's convolutions, in 10^9.
double forward_gflop(const NetworkOptions& options, std::int64_t batch) {
  ResidualNetwork network(options);
  double products = 0;
  for (const auto& [name, module] : network.named_modules()) {
    auto* conv = dynamic_cast<Conv2d*>(module);
    if (conv == nullptr) continue;
    // A stage has half the side of the one before; the stem has the images'.
    const std::int64_t stage = name.starts_with("stage") ? name[5] - '0' : 1;
    const std::int64_t side = std::int64_t{32} >> (stage - 1);
    products += static_cast<double>(conv->weight().value().numel() * side * side * batch);
  }
  return 2e-9 * products;
}

struct Row {
  Variant variant;
  Policy policy;
  double seconds;
  double gflop;
  std::int64_t after_forward_bytes, peak_bytes;
};

/// A forward pass, twice as much for the gradients, and what is run again.
std::vector<Row> measure_variant(const Variant& variant, const Options& options,
                                 const std::shared_ptr<const Dataset>& images) {
  const MeasureOptions measured{.name = "revnet38",
                                .network = network_of(variant),
                                .run = options.run,
                                .policies = {Policy::stored, Policy::reversible},
                                .steps = options.steps,
                                .profile = true};
  const std::vector<MemoryRun> runs = measure(measured, first_batch(images, variant.batch, options.run));
  const double forward = forward_gflop(measured.network, variant.batch);
  std::vector<Row> rows;
  for (const MemoryRun& run : runs) {
    const double again = run.policy == Policy::stored ? 0 : replayed_share(runs.front().profile, run.profile);
    rows.push_back({variant, run.policy, run.step_seconds, forward * (3 + again), run.after_forward_bytes,
                    run.peak_bytes});
  }
  return rows;
}

/// `first` is the row of the same sweep and policy that came first.
void print_row(const Row& row, const Row& first) {
  fmt::print("| {} | {} | x {} | {} | {} | {:.0f} | {:.1f} | {:.2f} | {:.2f} | {:.0f} | {:.1f} | {:.1f} |\n",
             row.variant.sweep, list_of({row.variant.blocks, row.variant.blocks, row.variant.blocks}),
             static_cast<double>(row.variant.halves) / 2, row.variant.batch, name_of(row.policy),
             1e3 * row.seconds, row.gflop, row.gflop / first.gflop, row.seconds / first.seconds,
             row.gflop / row.seconds, mebibytes(row.after_forward_bytes), mebibytes(row.peak_bytes));
}

nlohmann::ordered_json json_of(const Row& row) {
  return {{"sweep", row.variant.sweep},
          {"blocks", row.variant.blocks},
          {"width", static_cast<double>(row.variant.halves) / 2},
          {"batch", row.variant.batch},
          {"policy", name_of(row.policy)},
          {"step_seconds", row.seconds},
          {"gflop", row.gflop},
          {"after_forward_bytes", row.after_forward_bytes},
          {"peak_bytes", row.peak_bytes}};
}

int sweep(const Options& options) {
  apply(options.run);
  const auto images = load({.name = "synthetic"}, Split::train);
  if (!options.json)
    fmt::print(
        "revnet38 with other blocks, channels and batches; {}, {} threads, medians of {} steps. GFLOP: "
        "convolutions, "
        "with what is run again\n\n"
        "| sweep | blocks | width | batch | policy | step, ms | GFLOP | of the first | time of the first | "
        "GFLOP/s | "
        "after forward, MiB | peak, MiB |\n|---|---|---|--:|---|--:|--:|--:|--:|--:|--:|--:|\n",
        options.run.dtype, num_threads(), options.steps);
  std::vector<Row> all;
  for (const Variant& variant : kVariants) {
    if (std::ranges::find(options.sweeps, variant.sweep) == options.sweeps.end()) continue;
    for (const Row& row : measure_variant(variant, options, images)) {
      all.push_back(row);
      if (options.json) continue;
      print_row(row, *std::ranges::find_if(all, [&](const Row& other) {
                  return other.variant.sweep == variant.sweep && other.policy == row.policy;
                }));
      std::fflush(stdout);
    }
  }
  if (!options.json) return kDone;
  nlohmann::ordered_json rows = nlohmann::ordered_json::array();
  for (const Row& row : all) rows.push_back(json_of(row));
  fmt::print("{}\n", rows.dump());
  return kDone;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app(
      "How a training step's time and bytes grow with depth, width and batch, beside its arithmetic.");
  app.add_option("--sweeps", options.sweeps, "what changes")
      ->delimiter(',')
      ->check(CLI::IsMember(options.sweeps))
      ->capture_default_str();
  app.add_option("--steps", options.steps, "timed steps of each, after two that are not")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  add_run_options(app, options.run);
  app.add_flag("--json", options.json, "print JSON, for machines");
  CLI11_PARSE(app, argc, argv);
  return exit_status_of("sweep", [&] { return sweep(options); });
}
