#pragma once
// What the process's heap holds beside the tensors: nodes of the tape, hooks, names.
#include <malloc.h>
#include <retrace/autograd/tape.h>
#include <retrace/core/memory.h>

#include <algorithm>
#include <cstdint>

namespace retrace::test {

// AddressSanitizer has a heap of its own, which keeps freed bytes.
#if defined(__SANITIZE_ADDRESS__)
inline constexpr bool kHeapIsPlain = false;
#elif defined(__has_feature)
inline constexpr bool kHeapIsPlain = !__has_feature(address_sanitizer);
#else
inline constexpr bool kHeapIsPlain = true;
#endif

/// The most that the heap may gain in a step for each further block of a network, in bytes.
inline constexpr std::int64_t kHeapABlock = 1024;

/// Bytes of the heap that are no tensor's, cached ones included.
inline std::int64_t heap_in_use() {
  const struct mallinfo2 info = mallinfo2();
  return static_cast<std::int64_t>(info.uordblks + info.hblkhd) - ledger().live() - ledger().cached();
}

/// Sees, at each event of a tape, how large the heap has become since this was made.
class HeapWatch final : public TapeObserver {
 public:
  void on(const TapeEvent&) override { most_ = std::max(most_, heap_in_use()); }
  std::int64_t gain() const { return most_ - before_; }

 private:
  std::int64_t before_ = heap_in_use();
  std::int64_t most_ = before_;
};

}  // namespace retrace::test
