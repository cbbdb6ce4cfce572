#pragma once
#include <retrace/cli/options.h>

#include <cstdint>
#include <filesystem>

namespace retrace::cli {

struct EvalOptions {
  std::filesystem::path weights{};
  NetworkChoice network{.name = "", .channels = {}, .blocks = {}, .dropout = 0};  ///< empty: as the file says
  DataChoice data{.name = "", .folder = {}};                                      ///< likewise
  std::string names{};                                                            ///< likewise
  std::string device = "cpu";
  int threads = 0;
  std::int64_t budget = 0;
  std::int64_t batch = 250;
  bool json = false;
};

/// `retrace eval`: prints loss and accuracy on the test images. Throws UsageError, and all that the work
/// throws.
int run_eval(const EvalOptions& options);

}  // namespace retrace::cli
