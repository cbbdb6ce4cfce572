// What a training step takes beside busy programs, and alone: `neighbour --help`.
#include <retrace/cli/exit.h>
#include <retrace/cli/measure.h>
#include <retrace/core/error.h>
#include <retrace/core/format.h>
#include <retrace/core/threads.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

using namespace retrace;
using namespace retrace::cli;

namespace {

struct Options {
  std::string network = "resnet32";
  std::int64_t batch = 20;
  std::int64_t steps = 20;
  int neighbours = 0;
  RunChoice run{};
  bool json = false;
};

/// Programs that want a core each, as long as this lives.
class Neighbours {
 public:
  explicit Neighbours(int count) {
    for (int n = 0; n < count; ++n) {
      const pid_t child = fork();
      if (child == 0)
        for (volatile std::uint64_t turns = 0;;) turns = turns + 1;
      if (child > 0) children_.push_back(child);
    }
  }
  Neighbours(const Neighbours&) = delete;
  Neighbours& operator=(const Neighbours&) = delete;
  ~Neighbours() {
    for (const pid_t child : children_) {
      kill(child, SIGKILL);
      waitpid(child, nullptr, 0);
    }
  }
  std::size_t count() const { return children_.size(); }

 private:
  std::vector<pid_t> children_;
};

double step_seconds(const Options& options, const Batch& batch) {
  MeasureOptions measured{.name = options.network,
                          .network = network_options({.name = options.network}, image_format("synthetic")),
                          .run = options.run,
                          .policies = {},
                          .steps = options.steps};
  measured.policies.push_back(policy_for("stored", measured.network));
  return measure(measured, batch).front().step_seconds;
}

int measure_both(const Options& options) {
  apply(options.run);
  const Batch batch = first_batch(load({.name = "synthetic"}, Split::train), options.batch, options.run);
  const double alone = step_seconds(options, batch);
  const Neighbours neighbours(options.neighbours > 0 ? options.neighbours : num_threads());
  const double beside = step_seconds(options, batch);
  if (options.json) {
    fmt::print("{}\n", nlohmann::ordered_json{{"threads", num_threads()},
                                              {"neighbours", neighbours.count()},
                                              {"alone_seconds", alone},
                                              {"beside_seconds", beside},
                                              {"ratio", beside / alone}}
                           .dump());
  } else {
    fmt::print(
        "{}, batch {}, {} threads: {:.1f} ms alone, {:.1f} ms beside {} busy programs, {:.2f} times as "
        "long\n",
        options.network, options.batch, num_threads(), 1e3 * alone, 1e3 * beside, neighbours.count(),
        beside / alone);
  }
  return kDone;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app("What a training step takes beside busy programs, and alone.");
  app.add_option("--network", options.network, "a named network")->capture_default_str();
  app.add_option("-b,--batch", options.batch, "images in a batch")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--steps", options.steps, "timed steps of each, after two that are not; the median counts")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--neighbours", options.neighbours, "busy programs; by default one for each thread")
      ->check(CLI::PositiveNumber);
  add_run_options(app, options.run);
  app.add_flag("--json", options.json, "print JSON, for machines");
  CLI11_PARSE(app, argc, argv);
  return exit_status_of("neighbour", [&] { return measure_both(options); });
}
