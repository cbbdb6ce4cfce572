#pragma once
#include <retrace/core/block_cache.h>
#include <retrace/core/memory.h>
#include <retrace/core/staging.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>

namespace retrace {

/// Blocks start at, and their sizes are rounded up to, multiples of this many bytes.
inline constexpr std::int64_t kBlockAlignment = 64;
/// The bytes of the block that holds so many.
constexpr std::int64_t block_bytes(std::int64_t bytes) {
  return (bytes + kBlockAlignment - 1) / kBlockAlignment * kBlockAlignment;
}

/// A piece of memory and its entry in the ledger.
struct Block {
  std::byte* data = nullptr;  ///< its first byte, aligned to kBlockAlignment
  std::int64_t bytes = 0;     ///< its size, a multiple of kBlockAlignment
  std::uint64_t serial = 0;   ///< the number of its record in the ledger
};

/// The one source of a device's tensor memory. Freed blocks are kept and handed out again (see BlockCache),
/// so a training step after the first one asks the system for nothing. Thread-safe.
class Allocator {
 public:
  virtual ~Allocator() = default;

  /// Throws OutOfMemoryError, with the table of what is alive, beyond the budget or what the machine has; the
  /// cache is emptied first. Shape and element type are for the ledger's record.
  Block allocate(std::int64_t bytes, Tag tag, const Shape& shape = {}, DType dtype = DType::u8);
  /// Takes a block back, into the cache.
  void deallocate(const Block& block);
  /// Gives cached memory back to the system; of segments of which a part is in use, the physical memory.
  void flush();
  /// Copies bytes from the host's memory to the device's.
  virtual void upload(const std::byte* host, std::byte* device, std::int64_t bytes) = 0;
  /// Copies bytes from the device's memory to the host's.
  virtual void download(const std::byte* device, std::byte* host, std::int64_t bytes) = 0;
  /// For uploads that the host need not wait for; null where the device's memory is the host's own.
  virtual std::unique_ptr<Staging> stage(std::int64_t) { return nullptr; }
  Ledger& ledger() { return ledger_; }  ///< the account of this device's bytes

 private:
  /// Memory from the system, aligned; null when there is none.
  virtual std::byte* obtain(std::int64_t bytes) = 0;
  virtual void give_back(std::byte* data, std::int64_t bytes) = 0;
  /// Memory that will be written before it is read keeps its place, but need not keep physical memory.
  virtual void discard(std::byte*, std::int64_t) {}

  /// What to ask the system for when a large block does not fit anywhere.
  virtual std::int64_t segment_bytes() const { return BlockCache::kSegment; }

  std::byte* take_cached(std::int64_t bytes, Lifetime lifetime);
  void grow(std::int64_t bytes, Lifetime lifetime);
  void empty_cache();
  [[noreturn]] void fail_out_of_memory(std::int64_t bytes);

  Ledger ledger_;
  std::mutex mutex_;
  BlockCache cache_;
};

/// The allocator of a device.
Allocator& allocator(Device device = Device::cpu());
/// For the backend of a kind of device: what `allocator` asks for it.
void install_allocators(DeviceKind kind, Allocator& (*of)(Device device));

}  // namespace retrace
