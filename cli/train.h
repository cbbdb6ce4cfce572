#pragma once
#include <retrace/cli/optimizer.h>
#include <retrace/cli/options.h>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

namespace retrace::cli {

inline constexpr const char* kNoAutocast = "none";

struct TrainOptions {
  std::string recipe{};             ///< of which what is not given was taken
  std::filesystem::path recipes{};  ///< a file of more of them
  NetworkChoice network{};
  DataChoice data{};
  RunChoice run{};
  OptimizerChoice optimizer{};
  std::string policy = "auto";
  std::string autocast = kNoAutocast;
  std::int64_t batch = 100;
  std::int64_t steps = 0;             ///< 0: see epochs
  std::int64_t epochs = 0;            ///< 0: see steps; one epoch when both are 0
  std::optional<std::int64_t> pad{};  ///< what is usual with the data set, where not given
  std::optional<bool> flip{};
  std::int64_t checkpoint_every = 0;  ///< steps; 0: at the end of each epoch
  std::int64_t eval_every = 0;        ///< steps; 0: at the end of each epoch
  std::filesystem::path weights{};    ///< to begin with; empty: weights that the seed decides
  std::string names{};                ///< of these weights and of the final ones
  std::filesystem::path out{};
  bool resume = false;
  bool quiet = false;
};

/// What a training came to.
struct TrainResult {
  std::int64_t steps = 0;
  double loss = 0;
  std::optional<double> test_accuracy{};  ///< none for a run that was already at its end
  std::int64_t test_images = 0;
  double seconds = 0;  ///< of this process
};

/// Trains and writes log, checkpoints and final weights into `options.out`. Throws UsageError, and all that
/// the work throws.
TrainResult train(const TrainOptions& options);

}  // namespace retrace::cli
