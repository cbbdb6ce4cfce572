#pragma once
#include <filesystem>
#include <string>

namespace retrace::cli {

struct DemoOptions {
  std::filesystem::path out = "out/demo";
  std::filesystem::path data_dir{};
  int threads = 0;
  bool quiet = false;
};

/// `retrace demo`: trains a small RevNet on Fashion-MNIST, measures it stored and reversible, prints one
/// table and writes summary.json and memory.svg into `out`. Throws UsageError, and all that the work throws.
int run_demo(const DemoOptions& options);

}  // namespace retrace::cli
