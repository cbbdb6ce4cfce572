#pragma once
#include <cstdint>

namespace retrace::cli {

/// The most physical memory that the process holds while this object exists, as Linux counts it.
class ResidentPeak {
 public:
  ResidentPeak();
  /// 0 where Linux does not tell.
  std::int64_t bytes() const;
  /// What the process held when this object was made.
  std::int64_t bytes_before() const { return before_; }

 private:
  bool restarted_;
  std::int64_t before_;
};

}  // namespace retrace::cli
