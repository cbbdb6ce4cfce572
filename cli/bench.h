#pragma once
#include <retrace/cli/options.h>

#include <cstdint>
#include <string>
#include <vector>

namespace retrace::cli {

struct BenchOptions {
  std::vector<std::string> policies = {"stored", "reversible"};
  std::vector<std::int64_t> batches = {100};
  NetworkChoice network{};
  DataChoice data{};
  RunChoice run{};
  std::int64_t steps = 5;
  bool json = false;
};

/// `retrace bench memory`: prints a row for each batch size and policy. Throws UsageError, and all that the
/// work throws.
int run_bench_memory(const BenchOptions& options);

}  // namespace retrace::cli
