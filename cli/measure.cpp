#include <retrace/cli/measure.h>
#include <retrace/cli/resident.h>
#include <retrace/cli/step.h>
#include <retrace/cli/table.h>
#include <retrace/core/allocator.h>
#include <retrace/core/fail.h>
#include <retrace/core/random.h>
#include <retrace/core/threads.h>
#include <retrace/nn/weights.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <numeric>
#include <optional>

namespace retrace::cli {

namespace {

constexpr double kMomentum = 0.9;
constexpr double kWeightDecay = 2e-4;

/// A network that trains under one policy.
struct Subject {
  MemoryRun run;
  std::shared_ptr<ResidualNetwork> network;
  std::unique_ptr<Optimizer> optimizer;
  GeneratorState generator = generator_state();  // so that dropout is the same under each policy
  std::vector<StepResult> timed{};

  Subject(const MeasureOptions& options, Policy policy, std::int64_t batch)
      : network(make_network(options.network, options.run, policy)) {
    if (options.from != nullptr) load_state_dict(*network, state_dict(*options.from));
    optimizer = std::make_unique<SGD>(
        network->parameters(),
        SgdOptions{.lr = options.lr, .momentum = kMomentum, .weight_decay = kWeightDecay});
    run = {.network = options.name,
           .policy = policy,
           .batch = batch,
           .threads = num_threads(),
           .parameters = network->parameter_count(),
           .after_forward_bytes = 0,
           .peak_bytes = 0,
           .step_seconds = 0,
           .forward_seconds = 0,
           .backward_seconds = 0,
           .update_seconds = 0,
           .resident_bytes = 0,
           .needed_bytes = 0,
           .loss = 0,
           .profile = {}};
  }

  StepResult step(const Batch& batch, std::int64_t number, MemoryRecorder* recorder = nullptr) {
    set_generator_state(generator);
    const StepResult result = training_step(*network, *optimizer, batch, number, {.recorder = recorder});
    generator = generator_state();
    run.after_forward_bytes = std::max(run.after_forward_bytes, result.after_forward_bytes);
    run.peak_bytes = std::max(run.peak_bytes, result.peak_bytes);
    run.loss = result.loss;
    return result;
  }

  void timed_step(const Batch& batch, std::int64_t number, bool profile) {
    std::optional<MemoryRecorder> recorder;
    if (profile) recorder.emplace(device_of(*network));
    timed.push_back(step(batch, number, profile ? &*recorder : nullptr));
    const auto faster = [](const StepResult& a, const StepResult& b) { return a.seconds() < b.seconds(); };
    if (profile && std::min_element(timed.begin(), timed.end(), faster) == timed.end() - 1)
      run.profile = profile_of(recorder->recording(""), timed.back());
  }

  template <class Part>
  double median_of(const Part& part) const {
    std::vector<double> seconds;
    for (const StepResult& step : timed) seconds.push_back(part(step));
    return median(std::move(seconds));
  }
};

std::string mebibytes_text(std::int64_t bytes) { return fmt::format("{:.1f}", mebibytes(bytes)); }

}  // namespace

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const std::size_t n = values.size();
  return n % 2 == 1 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

double mebibytes(std::int64_t bytes) { return static_cast<double>(bytes) / (1024.0 * 1024.0); }

std::vector<MemoryRun> measure(const MeasureOptions& options, const Batch& batch) {
  std::vector<Subject> subjects;
  for (const Policy policy : options.policies) subjects.emplace_back(options, policy, batch.labels.numel());
  for (Subject& subject : subjects) {
    subject.step(batch, 1);
    allocator().flush();  // what was freed until now is not this step's
    const ResidentPeak resident;
    const Counter tensors;
    const std::int64_t before = resident.bytes_before() - tensors.live();
    subject.step(batch, 2);
    subject.run.resident_bytes = resident.bytes();
    subject.run.needed_bytes = before + tensors.peak();
  }
  for (std::int64_t s = 0; s < options.steps; ++s)
    for (Subject& subject : subjects) subject.timed_step(batch, s + 3, options.profile);

  std::vector<MemoryRun> runs;
  for (Subject& subject : subjects) {
    subject.run.step_seconds = subject.median_of([](const StepResult& step) { return step.seconds(); });
    subject.run.forward_seconds =
        subject.median_of([](const StepResult& step) { return step.forward_seconds; });
    subject.run.backward_seconds =
        subject.median_of([](const StepResult& step) { return step.backward_seconds; });
    subject.run.update_seconds =
        subject.median_of([](const StepResult& step) { return step.update_seconds; });
    runs.push_back(subject.run);
  }
  return runs;
}

std::vector<Recording> record_steps(const MeasureOptions& options, const Batch& batch) {
  std::vector<Recording> recordings;
  for (const Policy policy : options.policies) {
    Subject subject(options, policy, batch.labels.numel());
    subject.step(batch, 1);
    MemoryRecorder recorder(device_of(*subject.network));
    subject.step(batch, 2, &recorder);
    recordings.push_back(recorder.recording(std::string(name_of(policy))));
  }
  return recordings;
}

std::vector<DepthPoint> measure_depths(const MeasureOptions& options, const Batch& batch,
                                       const std::vector<std::int64_t>& multiples) {
  std::vector<DepthPoint> points;
  for (const Policy policy : options.policies)
    for (const std::int64_t multiple : multiples) {
      MeasureOptions deep = options;
      for (std::int64_t& blocks : deep.network.blocks) blocks *= multiple;
      Subject subject(deep, policy, batch.labels.numel());
      const StepResult step = subject.step(batch, 1);
      const std::vector<std::int64_t>& blocks = deep.network.blocks;
      points.push_back({.series = std::string(name_of(policy)),
                        .blocks = std::accumulate(blocks.begin(), blocks.end(), std::int64_t{0}),
                        .after_forward_bytes = step.after_forward_bytes,
                        .peak_bytes = step.peak_bytes});
    }
  return points;
}

Batch first_batch(const std::shared_ptr<const Dataset>& data, std::int64_t size, const RunChoice& run) {
  LoaderOptions options;
  options.batch_size = size;
  options.seed = run.seed;
  options.drop_last = true;
  options.augmentation.normalise = data->statistics();
  options.dtype = dtype_from_name(run.dtype);
  options.prefetch = 0;
  options.device = device_of(run);
  Loader loader(data, options);
  loader.start_epoch(0);
  return *loader.next();
}

nlohmann::ordered_json json_of(const MemoryRun& run) {
  return {{"network", run.network},       {"policy", name_of(run.policy)},
          {"batch", run.batch},           {"threads", run.threads},
          {"parameters", run.parameters}, {"after_forward_bytes", run.after_forward_bytes},
          {"peak_bytes", run.peak_bytes}, {"step_seconds", run.step_seconds}};
}

std::string table_of(const std::vector<MemoryRun>& runs, bool with_loss) {
  std::vector<Table::Column> columns = {{.title = "policy", .text = true}, {.title = "batch"},
                                        {.title = "after forward, MiB"},   {.title = "peak, MiB"},
                                        {.title = "peak, share"},          {.title = "step, ms"},
                                        {.title = "step, share"},          {.title = "process peak, MiB"}};
  if (with_loss) columns.push_back({.title = "loss"});
  Table table(std::move(columns));
  const MemoryRun* first = nullptr;
  for (const MemoryRun& run : runs) {
    if (first == nullptr || first->batch != run.batch) first = &run;
    std::vector<std::string> cells = {
        std::string(name_of(run.policy)),
        std::to_string(run.batch),
        mebibytes_text(run.after_forward_bytes),
        mebibytes_text(run.peak_bytes),
        fmt::format("{:.2f}", static_cast<double>(run.peak_bytes) / static_cast<double>(first->peak_bytes)),
        fmt::format("{:.1f}", 1e3 * run.step_seconds),
        fmt::format("{:.2f}", run.step_seconds / first->step_seconds),
        run.resident_bytes > 0 ? mebibytes_text(run.resident_bytes) : "-"};
    if (with_loss) cells.push_back(fmt::format("{:.6f}", run.loss));
    table.add(std::move(cells));
  }
  return table.to_string();
}

}  // namespace retrace::cli
