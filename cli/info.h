#pragma once
#include <retrace/cli/options.h>

#include <cstdint>

namespace retrace::cli {

struct InfoOptions {
  NetworkChoice network{};
  DataChoice data{};  ///< only its format: no file is read
  std::int64_t batch = 1;
  bool json = false;
};

/// `retrace info`: prints a network's layers, their parameters and bytes. Throws UsageError.
int run_info(const InfoOptions& options);

}  // namespace retrace::cli
