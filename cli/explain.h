#pragma once
#include <retrace/cli/options.h>

#include <cstdint>
#include <string>

namespace retrace::cli {

struct ExplainOptions {
  NetworkChoice network{.name = "tiny"};
  std::string policy = "auto";
  std::int64_t batch = 2;
  std::int64_t size = 4;  ///< height and width of the images
  RunChoice run{.dtype = "f64"};
};

/// `retrace explain`: runs one training step and prints what the tape held after each operation, what hooks
/// released and what they rebuilt, how exactly. Throws UsageError.
int run_explain(const ExplainOptions& options);

}  // namespace retrace::cli
