#pragma once

namespace retrace::cli {

/// Turns the first SIGINT or SIGTERM into a request to stop, for as long as it exists. A second signal ends
/// the process at once. A signal that is ignored, as under nohup, stays ignored. There is one at a time.
class Interruption {
 public:
  Interruption();
  ~Interruption();
  Interruption(const Interruption&) = delete;
  Interruption& operator=(const Interruption&) = delete;

  /// The signal that came, or 0.
  int signal() const;
};

}  // namespace retrace::cli
