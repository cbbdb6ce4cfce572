#pragma once
#include <retrace/cli/options.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace retrace::cli {

/// Files that show a step, each written where its path is not empty.
struct ReportFiles {
  std::filesystem::path html{};
  std::filesystem::path svg{};
  std::filesystem::path csv{};
  std::filesystem::path trace{};
  std::vector<std::int64_t> depths = {1, 2, 4};  ///< of the page: multiples of the network's blocks
};

struct BenchOptions {
  std::vector<std::string> policies = {"stored", "reversible"};
  std::vector<std::int64_t> batches = {100};
  NetworkChoice network{};
  DataChoice data{};
  RunChoice run{};
  std::int64_t steps = 5;
  bool json = false;
  ReportFiles files{};
};

/// `retrace bench memory`: prints a row for each batch size and policy, and writes the report's files. Throws
/// UsageError, and all that the work throws.
int run_bench_memory(const BenchOptions& options);

}  // namespace retrace::cli
