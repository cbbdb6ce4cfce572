// What a training step of the named networks costs, time and bytes in one row: `training --help`.
#include <retrace/cli/exit.h>
#include <retrace/cli/measure.h>
#include <retrace/core/format.h>
#include <retrace/core/threads.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>

using namespace retrace;
using namespace retrace::cli;

namespace {

struct Options {
  std::vector<std::string> networks{"resnet32", "resnet110", "resnet164",
                                    "revnet38", "revnet110", "revnet164"};
  std::vector<std::string> policies{"stored", "checkpoint", "reversible"};
  std::int64_t batch = 100;
  std::int64_t steps = 5;
  RunChoice run{};
  bool json = false;
  bool profile = false;
};

/// What a policy that recomputes may cost, from the stored step of the same run.
struct Bound {
  double r = 0;      ///< stored backward / stored forward
  double q = 0;      ///< the share of the stored forward that is run again
  double share = 0;  ///< measured: step / stored step
  double ideal = 0;  ///< (1 + r + q) / (1 + r); a bound of 4/3 for r = 2 and q = 1
};

constexpr double kAllowedOverIdeal = 1.05;

std::optional<Bound> bound_of(const MemoryRun& run, const std::vector<MemoryRun>& runs) {
  const auto stored =
      std::find_if(runs.begin(), runs.end(), [](const MemoryRun& r) { return r.policy == Policy::stored; });
  if (stored == runs.end() || run.policy == Policy::stored) return {};
  Bound bound{.r = stored->backward_seconds / stored->forward_seconds,
              .q = replayed_share(stored->profile, run.profile),
              .share = run.step_seconds / stored->step_seconds};
  bound.ideal = (1 + bound.r + bound.q) / (1 + bound.r);
  return bound;
}

MeasureOptions measured_by(const std::string& name, const Options& options) {
  MeasureOptions measured{.name = name,
                          .network = network_options({.name = name}, image_format("synthetic")),
                          .run = options.run,
                          .policies = {},
                          .steps = options.steps,
                          .profile = true};
  for (const std::string& policy : options.policies) {
    const Policy wanted = policy_for(policy, measured.network);
    if (!is_reversible(wanted) || has_reversible_blocks(measured.network))
      measured.policies.push_back(wanted);
  }
  return measured;
}

nlohmann::ordered_json training_json(const MemoryRun& run, const std::optional<Bound>& bound) {
  nlohmann::ordered_json json = json_of(run);
  json["forward_seconds"] = run.forward_seconds;
  json["backward_seconds"] = run.backward_seconds;
  json["update_seconds"] = run.update_seconds;
  json["resident_bytes"] = run.resident_bytes;
  json["needed_bytes"] = run.needed_bytes;
  if (bound)
    json["of_stored"] = {{"step", bound->share}, {"r", bound->r}, {"q", bound->q}, {"ideal", bound->ideal}};
  return json;
}

void print_row(const MemoryRun& run, const std::optional<Bound>& bound) {
  const std::string shares =
      bound ? fmt::format("{:.2f} | {:.2f} | {:.2f} | {:.2f} | {:.2f}", bound->share, bound->r, bound->q,
                          bound->ideal, kAllowedOverIdeal * bound->ideal)
            : "1 | | | |";
  fmt::print("| {} | {} | {:.0f} | {:.0f} | {:.0f} | {:.1f} | {:.1f} | {:.1f} | {:.0f} | {:.0f} | {} |\n",
             run.network, name_of(run.policy), 1e3 * run.step_seconds, 1e3 * run.forward_seconds,
             1e3 * run.backward_seconds, 1e3 * run.update_seconds, mebibytes(run.after_forward_bytes),
             mebibytes(run.peak_bytes), mebibytes(run.resident_bytes), mebibytes(run.needed_bytes), shares);
}

void print_title(const Options& options) {
  fmt::print(
      "batch {} of [3, 32, 32], {}, {} threads; medians of {} steps, the policies of a network in turn\n\n"
      "| network | policy | step, ms | forward, ms | backward, ms | update, ms | after forward, MiB | peak, "
      "MiB | process, MiB | needed, MiB | of stored | r | q | (1 + r + q) / (1 + r) | allowed |\n"
      "|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n",
      options.batch, options.run.dtype, num_threads(), options.steps);
}

int measure_all(const Options& options) {
  apply(options.run);
  const Batch batch = first_batch(load({.name = "synthetic"}, Split::train), options.batch, options.run);
  if (!options.json && !options.profile) print_title(options);
  nlohmann::ordered_json rows = nlohmann::ordered_json::array();
  for (const std::string& name : options.networks) {
    const std::vector<MemoryRun> runs = measure(check_use([&] { return measured_by(name, options); }), batch);
    for (const MemoryRun& run : runs) {
      if (options.json) {
        rows.push_back(training_json(run, bound_of(run, runs)));
      } else if (options.profile) {
        fmt::print("{}, {}, batch {}, {} threads: the fastest of {} steps\n\n{}\n", name, name_of(run.policy),
                   options.batch, num_threads(), options.steps, markdown_of(run.profile));
      } else {
        print_row(run, bound_of(run, runs));
      }
      std::fflush(stdout);
    }
  }
  if (options.json) fmt::print("{}\n", rows.dump());
  return kDone;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app("What a training step costs: time, activation bytes and memory of the process in one row.");
  app.add_option("--networks", options.networks, "named networks")->delimiter(',')->capture_default_str();
  app.add_option("--policies", options.policies, "a network without reversible blocks leaves reversible out")
      ->delimiter(',')
      ->capture_default_str();
  app.add_option("-b,--batch", options.batch, "images in a batch")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--steps", options.steps, "timed steps of each, after two that are not")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  add_run_options(app, options.run);
  auto* json = app.add_flag("--json", options.json, "print JSON, for machines");
  app.add_flag("--profile", options.profile, "print milliseconds by op instead")->excludes(json);
  CLI11_PARSE(app, argc, argv);
  return exit_status_of("training", [&] { return measure_all(options); });
}
