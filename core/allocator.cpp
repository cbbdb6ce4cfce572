#include <retrace/core/allocator.h>
#include <retrace/core/fail.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>

#if defined(__SANITIZE_ADDRESS__)
#define RETRACE_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define RETRACE_ASAN 1
#endif
#endif
#ifdef RETRACE_ASAN
#include <sanitizer/asan_interface.h>
#endif

namespace retrace {

namespace {

/// Under AddressSanitizer a cached block is as forbidden as a freed one.
void forbid([[maybe_unused]] std::byte* data, [[maybe_unused]] std::int64_t bytes) {
#ifdef RETRACE_ASAN
  __asan_poison_memory_region(data, static_cast<std::size_t>(bytes));
#endif
}

void permit([[maybe_unused]] std::byte* data, [[maybe_unused]] std::int64_t bytes) {
#ifdef RETRACE_ASAN
  __asan_unpoison_memory_region(data, static_cast<std::size_t>(bytes));
#endif
}

constexpr std::size_t kHugePage = std::size_t{2} << 20;

/// The last multiple of `unit` that is not behind an address, and the first that is not in front of it.
std::byte* align_down(std::byte* data, std::size_t unit) {
  return data - reinterpret_cast<std::uintptr_t>(data) % unit;
}
std::byte* align_up(std::byte* data, std::size_t unit) { return align_down(data + unit - 1, unit); }

std::size_t page_size() { return static_cast<std::size_t>(::sysconf(_SC_PAGESIZE)); }

/// Memory of at least a huge page comes from the system itself, since malloc may write to all of it, and lies
/// in huge pages where the system has them: kernels that read many planes at once touch more small pages than
/// the processor keeps addresses of.
class CpuAllocator final : public Allocator {
 public:
  void upload(const std::byte* host, std::byte* device, std::int64_t bytes) override {
    std::memcpy(device, host, static_cast<std::size_t>(bytes));
  }
  void download(const std::byte* device, std::byte* host, std::int64_t bytes) override {
    std::memcpy(host, device, static_cast<std::size_t>(bytes));
  }

 private:
  std::byte* obtain(std::int64_t bytes) override {
    const auto size = static_cast<std::size_t>(bytes);
    if (is_mapped(size)) return map(size);
    void* data = nullptr;
    if (::posix_memalign(&data, kBlockAlignment, size) != 0) return nullptr;
    return static_cast<std::byte*>(data);
  }
  void give_back(std::byte* data, std::int64_t bytes) override {
    const auto size = static_cast<std::size_t>(bytes);
    if (is_mapped(size))
      ::munmap(data, size);
    else
      std::free(data);
  }
  void discard(std::byte* data, std::int64_t bytes) override {
#ifdef MADV_DONTNEED
    std::byte* begin = align_up(data, page_size());
    std::byte* end = align_down(data + bytes, page_size());
    if (begin < end) ::madvise(begin, static_cast<std::size_t>(end - begin), MADV_DONTNEED);
#endif
  }

  static bool is_mapped(std::size_t size) { return size >= kHugePage; }

  /// Pages, the first of them at a multiple of a huge one: cut from more than that.
  static std::byte* map(std::size_t size) {
    const std::size_t more = size + kHugePage;
    void* mapped = ::mmap(nullptr, more, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapped == MAP_FAILED) return nullptr;
    auto* begin = static_cast<std::byte*>(mapped);
    std::byte* data = align_up(begin, kHugePage);
    std::byte* end = align_up(data + size, page_size());
    if (begin < data) ::munmap(begin, static_cast<std::size_t>(data - begin));
    ::munmap(end, static_cast<std::size_t>(begin + more - end));
#ifdef MADV_HUGEPAGE
    ::madvise(data, size, MADV_HUGEPAGE);  // a wish: what it returns doesn't matter
#endif
    return data;
  }
};

}  // namespace

Block Allocator::allocate(std::int64_t bytes, Tag tag, const Shape& shape, DType dtype) {
  const std::int64_t rounded = block_bytes(bytes);
  const Lifetime lifetime = kStepTags.contains(tag) ? Lifetime::step : Lifetime::longer;
  const std::lock_guard lock(mutex_);
  const std::int64_t budget = ledger_.budget();
  if (budget > 0 && ledger_.live() + rounded > budget) fail_out_of_memory(rounded);
  std::byte* data = take_cached(rounded, lifetime);
  if (data == nullptr) {
    if (budget > 0 && ledger_.live() + ledger_.cached() + rounded > budget) empty_cache();
    grow(rounded, lifetime);
    data = take_cached(rounded, lifetime);
  }
  if (data == nullptr) {
    empty_cache();
    grow(rounded, lifetime);
    data = take_cached(rounded, lifetime);
  }
  if (data == nullptr) fail_out_of_memory(rounded);
  const std::uint64_t serial = ledger_.add({.bytes = rounded,
                                            .tag = tag,
                                            .scope = current_scope().node,
                                            .op = current_op(),
                                            .serial = 0,
                                            .shape = shape,
                                            .dtype = dtype});
  return {.data = data, .bytes = rounded, .serial = serial};
}

void Allocator::deallocate(const Block& block) {
  const std::lock_guard lock(mutex_);
  ledger_.remove(block.serial);
  ledger_.add_cached(block.bytes);
  forbid(block.data, block.bytes);
  cache_.put(block.data, block.bytes);
}

void Allocator::flush() {
  const std::lock_guard lock(mutex_);
  empty_cache();
}

void Allocator::empty_cache() {
  for (const auto& [data, bytes] : cache_.remove_whole()) {
    permit(data, bytes);
    give_back(data, bytes);
    ledger_.add_cached(-bytes);
  }
  for (const auto& [data, bytes] : cache_.free_parts()) discard(data, bytes);
}

std::byte* Allocator::take_cached(std::int64_t bytes, Lifetime lifetime) {
  std::byte* data = cache_.take(bytes, lifetime);
  if (data == nullptr) return nullptr;
  permit(data, bytes);
  ledger_.add_cached(-bytes);
  return data;
}

/// Gets memory for a block of that size from the system into the cache, if there is any: for a large one a
/// segment, as large as the system gives it.
void Allocator::grow(std::int64_t bytes, Lifetime lifetime) {
  const bool roomy = bytes >= BlockCache::kLarge && ledger_.budget() == 0;
  const std::int64_t least = BlockCache::held_bytes(bytes);
  std::int64_t size = roomy ? std::max(least, segment_bytes()) : least;
  std::byte* data = obtain(size);
  while (data == nullptr && size > least) data = obtain(size = std::max(least, size / 2));
  if (data == nullptr) return;
  ledger_.add_cached(size);
  forbid(data, size);
  cache_.put(data, size, lifetime);
}

void Allocator::fail_out_of_memory(std::int64_t bytes) {
  const std::int64_t budget = ledger_.budget();
  const std::string limit =
      budget > 0 ? fmt::format("the budget of {}", format_bytes(budget)) : "what the machine has";
  fail_with_table<OutOfMemoryError>("allocate", table_of(ledger_.alive()),
                                    "{} must fit into {}, of which {} are alive:", format_bytes(bytes), limit,
                                    format_bytes(ledger_.live()));
}

namespace {

Allocator& cpu_allocator(Device) {
  static CpuAllocator& cpu =
      *new CpuAllocator;  // never destroyed: tensors in static objects outlive it otherwise
  return cpu;
}

constinit std::array<Allocator& (*)(Device), kDeviceKinds> allocators{&cpu_allocator};

}  // namespace

Allocator& allocator(Device device) { return allocators[static_cast<std::size_t>(device.kind())](device); }

void install_allocators(DeviceKind kind, Allocator& (*of)(Device device)) {
  allocators[static_cast<std::size_t>(kind)] = of;
}

}  // namespace retrace
