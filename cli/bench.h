#pragma once
#include <retrace/cli/options.h>

#include <cstdint>
#include <string>
#include <vector>

namespace retrace::cli {

struct BenchOptions {
  NetworkChoice network{};
  DataChoice data{};
  RunChoice run{};
  std::vector<std::string> policies = {"stored", "reversible"};
  std::vector<std::int64_t> batches = {100};
  std::int64_t steps = 5;
  bool json = false;
};

/// `retrace bench memory`: prints a row for each batch size and policy. Throws UsageError, and all that the
/// work throws.
int run_bench_memory(const BenchOptions& options);

}  // namespace retrace::cli
