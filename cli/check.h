#pragma once
#include <retrace/cli/options.h>

#include <cstdint>
#include <string>
#include <vector>

namespace retrace::cli {

struct CheckOptions {
  std::vector<std::string> policies = {"auto", "checkpoint"};
  NetworkChoice network{};
  DataChoice data{};
  RunChoice run{.dtype = "f64", .seed = 0, .threads = 0, .budget = 0};
  std::int64_t batch = 20;
  std::int64_t steps = 5;
  double lr = 0.1;
  bool json = false;
};

/// `retrace check`: prints what is compared and returns kFailed when something is out of tolerance. Throws
/// UsageError, and all that the work throws.
int run_check(const CheckOptions& options);

}  // namespace retrace::cli
