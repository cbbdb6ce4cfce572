#pragma once
#include <retrace/core/memory.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>

namespace retrace::cli {

/// Where a training stands.
struct Standing {
  std::int64_t step = 0;
  std::int64_t steps = 0;
  std::int64_t epoch = 0;  ///< from 1
  std::int64_t epochs = 0;
  double loss = 0;
  std::int64_t images = 0;   ///< of this step
  std::int64_t correct = 0;  ///< among them
};

/// Tells on stderr how a training goes: a bar that is drawn over and over on a terminal, elsewhere a line
/// every few seconds.
class Progress {
 public:
  explicit Progress(bool quiet);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void show(const Standing& standing);
  /// A line of its own.
  void say(const std::string& text);
  /// A line that is shown even when quiet.
  void warn(const std::string& text);

 private:
  using Clock = std::chrono::steady_clock;
  std::string text_of(const Standing& standing, std::size_t width) const;
  void print(const std::string& text);
  void clear_bar();

  bool quiet_;
  bool terminal_;
  bool drawn_ = false;
  Counter memory_;
  Clock::time_point begin_ = Clock::now();
  Clock::time_point last_shown_{};
  std::int64_t images_ = 0;
  double loss_ = 0;      // running mean
  double accuracy_ = 0;  // likewise
  bool first_ = true;
};

}  // namespace retrace::cli
