#pragma once
#include <retrace/cli/optimizer.h>
#include <retrace/cli/options.h>

#include <cstdint>
#include <filesystem>
#include <string>

namespace retrace::cli {

struct StepOptions {
  std::filesystem::path weights{};
  std::filesystem::path batch{};
  std::filesystem::path out{};
  NetworkChoice network{};
  OptimizerChoice optimizer{};
  RunChoice run{};
  std::string policy = "auto";
  std::string names{};
  std::int64_t steps = 1;
};

/// `retrace step`: training steps from file to file, to compare implementations of the same network. Throws
/// UsageError, FormatError for a batch that is none, and all that the work throws.
int run_step(const StepOptions& options);

}  // namespace retrace::cli
