// How fast the kernels are, beside what this machine can do at the same moment: `kernels --help`.
#include <retrace/benchmarks/kernel_cases.h>
#include <retrace/benchmarks/machine.h>
#include <retrace/cli/exit.h>
#include <retrace/cli/measure.h>
#include <retrace/core/format.h>
#include <retrace/core/threads.h>
#include <retrace/cuda/device.h>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>
#include <optional>

using namespace retrace;
using namespace retrace::benchmarks;

namespace {

struct Options {
  std::string filter{};
  std::string device = "cpu";
  std::string dtype = "f32";
  double seconds = 0.3;
  int threads = 0;
  bool json = false;
};

struct Result {
  std::string name{};
  Limit limit = Limit::memory;
  double seconds = 0;
  double gflops = 0;
  double gbytes_per_s = 0;
  double peak = 0;  // GFLOP/s or GB/s, as `limit` says

  double percent_of_peak() const { return 100 * (limit == Limit::memory ? gbytes_per_s : gflops) / peak; }
};

constexpr int kLeastRuns = 3;

/// Medians. Before each run comes a look at what the machine can do, which changes by the minute, and a run
/// that is not counted: it finds the caches and an Intel core's clock as that look has left them.
Result measure(const KernelCase& c, Device device, double budget) {
  const Work work = c.prepare();
  std::optional<CopySpeed> copy;
  if (work.limit == Limit::memory) copy.emplace(work.bytes, device);
  const auto peak_now = [&] { return copy ? copy->gbytes_per_s() : multiply_add_gflops(device); };
  work.run();  // workspace is allocated, pages are touched, and a GPU's algorithm is chosen
  peak_now();
  std::vector<double> seconds;
  std::vector<double> peaks;
  for (double spent = 0; seconds.size() < kLeastRuns || spent < budget; spent += seconds.back()) {
    peaks.push_back(peak_now());
    work.run();
    seconds.push_back(cuda::seconds_of(device, work.run));
  }
  const double time = cli::median(seconds);
  return {.name = c.name,
          .limit = work.limit,
          .seconds = time,
          .gflops = 1e-9 * work.flops / time,
          .gbytes_per_s = 1e-9 * work.bytes / time,
          .peak = cli::median(peaks)};
}

void print_title(const Setting& setting) {
  if (setting.device == Device::cpu())
    fmt::print("{}, {} threads; medians. Peak: f32 multiply-adds in registers", name_of(setting.dtype),
               num_threads());
  else
    fmt::print("{}, {}; medians. Peak: f32 multiply-adds of all lanes at the highest clock",
               name_of(setting.dtype), cuda::properties(setting.device).name);
  fmt::print(
      ", or a copy of as many bytes, measured before each run\n\n"
      "| case | ms | GFLOP/s | GB/s | peak | of the peak |\n|---|--:|--:|--:|--:|--:|\n");
}

void print_row(const Result& r) {
  fmt::print("| {} | {:.3f} | {:.1f} | {:.1f} | {:.0f} {} | {:.0f} % |\n", r.name, 1e3 * r.seconds, r.gflops,
             r.gbytes_per_s, r.peak, r.limit == Limit::memory ? "GB/s" : "GFLOP/s", r.percent_of_peak());
  std::fflush(stdout);
}

int measure_all(const Options& options) {
  if (options.threads > 0) set_num_threads(options.threads);
  nlohmann::ordered_json rows = nlohmann::ordered_json::array();
  bool found = false;
  const Setting setting{.device = cli::check_use([&] { return cuda::device_from_name(options.device); }),
                        .dtype = dtype_from_name(options.dtype)};
  for (const KernelCase& c : kernel_cases(setting)) {
    if (c.name.find(options.filter) == std::string::npos) continue;
    if (!options.json && !found) print_title(setting);
    found = true;
    const Result r = measure(c, setting.device, options.seconds);
    if (!options.json) print_row(r);
    rows.push_back({{"case", r.name},
                    {"seconds", r.seconds},
                    {"gflops", r.gflops},
                    {"gbytes_per_s", r.gbytes_per_s},
                    {"percent_of_peak", r.percent_of_peak()}});
  }
  if (options.json) fmt::print("{}\n", rows.dump());
  if (!found) fmt::print(stderr, "kernels: no case's name contains '{}'\n", options.filter);
  return found ? cli::kDone : cli::kWrongUse;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app("How fast the kernels are, beside what the machine can do at the same moment.");
  app.add_option("--filter", options.filter, "only cases whose name contains this");
  app.add_option("--seconds", options.seconds, "time for each case; three runs at least")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  app.add_option("-t,--threads", options.threads, "(default: all cores)")->check(CLI::PositiveNumber);
  cli::add_device_option(app, options.device);
  app.add_option("--dtype", options.dtype, "element type; norms, losses and optimizers take f32 alone here")
      ->check(CLI::IsMember({"f32", "bf16", "f16"}))
      ->capture_default_str();
  app.add_flag("--json", options.json, "print JSON, for machines");
  CLI11_PARSE(app, argc, argv);
  return cli::exit_status_of("kernels", [&] { return measure_all(options); });
}
