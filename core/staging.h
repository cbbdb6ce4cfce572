#pragma once
#include <cstddef>
#include <cstdint>

namespace retrace {

/// Bytes of the host from which a device copies while both go on: for a GPU they are page-locked. They lie in
/// a tensor's memory, so that the CPU's ledger counts them. Made by Allocator::stage. A round is `wait`,
/// writing at `data`, `begin`, `join`, and what is to be done with the copy. From `begin` on the bytes stay
/// as they are until `wait` has returned.
class Staging {
 public:
  Staging() = default;
  /// Waits.
  virtual ~Staging() = default;
  Staging(const Staging&) = delete;
  Staging& operator=(const Staging&) = delete;

  virtual std::byte* data() = 0;  ///< the bytes, on the host
  /// Begins to copy the first `bytes` into the device's memory, behind all that the device was asked for
  /// until now. From any thread.
  virtual void begin(std::byte* to, std::int64_t bytes) = 0;
  /// What the device is asked for from now on comes behind the copy.
  virtual void join() = 0;
  /// Returns when the copy has ended, so that the bytes may be written.
  virtual void wait() = 0;
};

}  // namespace retrace
