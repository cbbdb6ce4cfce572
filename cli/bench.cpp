#include <retrace/cli/bench.h>
#include <retrace/cli/exit.h>
#include <retrace/cli/measure.h>
#include <retrace/cli/progress.h>
#include <retrace/core/fail.h>
#include <retrace/report/write.h>

#include <algorithm>
#include <nlohmann/json.hpp>

namespace retrace::cli {

namespace {

void print(const BenchOptions& options, const std::vector<MemoryRun>& runs) {
  if (options.json) {
    nlohmann::ordered_json json = {{"runs", nlohmann::ordered_json::array()}};
    for (const MemoryRun& run : runs) json["runs"].push_back(json_of(run));
    fmt::print("{}\n", json.dump());
    return;
  }
  fmt::print(
      "{}: {} parameters, {}, {} thread{}\n\n{}\n"
      "after forward, peak: bytes of activations, what is saved for the way back, their gradients and "
      "scratch space,\n"
      "of one training step. step: median of {} whole steps (forward, backward, update). share: of the first "
      "row of\n"
      "that batch. process peak: physical memory of the whole program in a first step.\n",
      options.network.name, runs.front().parameters, options.run.dtype, runs.front().threads,
      runs.front().threads == 1 ? "" : "s", table_of(runs, false), options.steps);
}

/// What is seen in the report, in a sentence.
std::string facts(const BenchOptions& options, const std::vector<MemoryRun>& runs, const Dataset& data) {
  return fmt::format(
      "{}: {} parameters; batch {} of {} images {}; {}, on {} with {} thread{}. One step with SGD and "
      "momentum, "
      "after one that was not watched.",
      options.network.name, runs.front().parameters, list_of(options.batches), options.data.name,
      data.image_shape(), options.run.dtype, options.run.device, runs.front().threads,
      runs.front().threads == 1 ? "" : "s");
}

/// Adds what the report shows of one batch. Depths are those of the first batch.
void add_to(MemoryReport& report, const BenchOptions& options, const MeasureOptions& measured,
            const Batch& images) {
  Progress progress(/*quiet=*/false);
  const std::int64_t batch = images.labels.numel();
  const std::string suffix = options.batches.size() > 1 ? fmt::format(", batch {}", batch) : "";
  const bool first = report.recordings.empty();
  progress.say(fmt::format("recording a step under each policy, batch {}", batch));
  for (Recording& recording : record_steps(measured, images)) {
    recording.name += suffix;
    report.recordings.push_back(std::move(recording));
  }
  if (!first || options.files.html.empty()) return;
  for (const std::int64_t multiple : options.files.depths) {
    progress.say(fmt::format("measuring {} times the depth, batch {}", multiple, batch));
    for (DepthPoint& point : measure_depths(measured, images, {multiple})) {
      point.series += suffix;
      report.depths.push_back(std::move(point));
    }
  }
}

/// A file that the report is written to.
struct Target {
  std::filesystem::path path;
  void (*write)(const std::filesystem::path& path, const MemoryReport& report);
};

/// Those that are wanted. Throws IoError before a minute of work rather than after it.
std::vector<Target> targets_of(const ReportFiles& files) {
  std::vector<Target> targets = {{files.html, &write_html},
                                 {files.svg, &write_svg},
                                 {files.csv, &write_csv},
                                 {files.trace, &write_trace}};
  std::erase_if(targets, [](const Target& target) { return target.path.empty(); });
  for (const auto& [path, write] : targets)
    if (path.has_parent_path() && !std::filesystem::is_directory(path.parent_path()))
      fail<IoError>("bench", "{} must be in a folder that is there, but {} is none", path.string(),
                    path.parent_path().string());
  return targets;
}

}  // namespace

int run_bench_memory(const BenchOptions& options) {
  check_use([&] { check_names(options.network, options.data); });
  const std::vector<Target> targets = targets_of(options.files);
  apply(options.run);
  const std::shared_ptr<Dataset> data = load(options.data, Split::train);
  MeasureOptions measured{.name = options.network.name,
                          .network = network_options(options.network, image_format(*data)),
                          .run = options.run,
                          .policies = {},
                          .steps = options.steps};
  MemoryReport report{.title = fmt::format("Memory of one training step of {}", options.network.name)};
  std::vector<MemoryRun> runs;
  check_use([&] {
    const auto network = make_network(measured.network, options.run, Policy::stored);
    for (const std::string& policy : options.policies) {
      measured.policies.push_back(policy_for(policy, measured.network));
      network->set_policy(measured.policies.back());
    }
  });
  for (const std::int64_t batch : options.batches) {
    const Batch images = check_use([&] { return first_batch(data, batch, options.run); });
    for (MemoryRun& run : measure(measured, images)) runs.push_back(std::move(run));
    if (!targets.empty()) add_to(report, options, measured, images);
  }
  print(options, runs);
  report.text = facts(options, runs, *data);
  for (const auto& [path, write] : targets) write(path, report);
  return kDone;
}

}  // namespace retrace::cli
