#include <retrace/cli/bench.h>
#include <retrace/cli/exit.h>
#include <retrace/cli/measure.h>
#include <retrace/core/format.h>

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

}  // namespace

int run_bench_memory(const BenchOptions& options) {
  check_use([&] { check_names(options.network, options.data); });
  apply(options.run);
  const std::shared_ptr<Dataset> data = load(options.data, Split::train);
  MeasureOptions measured{.name = options.network.name,
                          .network = network_options(options.network, image_format(*data)),
                          .run = options.run,
                          .policies = {},
                          .steps = options.steps};
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
  }
  print(options, runs);
  return kDone;
}

}  // namespace retrace::cli
