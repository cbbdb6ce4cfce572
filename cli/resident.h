#pragma once
#include <cstdint>

namespace retrace::cli {

/// The most physical memory that the process holds while this object exists, as Linux counts it.
class ResidentPeak {
 public:
  ResidentPeak();
  /// 0 where Linux does not tell.
  std::int64_t bytes() const;

 private:
  bool restarted_;
};

}  // namespace retrace::cli
