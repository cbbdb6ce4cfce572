// The functions of the CUDA runtime that the backend calls, on the host. The compiler checks them against the
// real header.
#include "gpu_host.h"
#include "host_layer.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <utility>

namespace retrace::gpu_host {

namespace {

/// The memory of the device: a range of addresses that is forbidden but while a kernel or a copy runs.
class Memory {
 public:
  static constexpr std::size_t kBytes = std::size_t{16} << 30;

  static Memory& get() {
    static Memory& memory = *new Memory;
    return memory;
  }

  /// Null when there is no place. Behind the bytes a guard is left, of at most a page.
  void* allocate(std::size_t bytes) {
    const std::lock_guard lock(mutex_);
    const std::size_t size = (bytes / kPage + 1) * kPage;
    std::size_t at = used_;
    const auto hole =
        std::find_if(holes_.begin(), holes_.end(), [size](const auto& h) { return h.second == size; });
    if (hole != holes_.end()) {
      at = hole->first;
      holes_.erase(hole);
    } else if (used_ + size > kBytes) {
      return nullptr;
    } else {
      used_ += size;
    }
    // Guards differ, or a copy from behind one block to behind another would not show.
    const auto guard = static_cast<unsigned char>(kGuard + allocations_++ % 4);
    taken_[at] = {bytes, size, guard};
    open();
    std::memset(base_ + at, kFresh, bytes);
    std::memset(base_ + at + bytes, guard, size - bytes);
    if (accesses_ == 0) close();
    return base_ + at;
  }

  bool free(void* data) {
    const std::lock_guard lock(mutex_);
    const auto found = taken_.find(offset_of(data));
    if (found == taken_.end()) return false;
    holes_[found->first] = found->second.size;
    taken_.erase(found);
    return true;
  }

  const std::byte* base() const { return base_; }

  bool guards_hold() {
    const std::lock_guard lock(mutex_);
    open();
    const bool hold = std::all_of(taken_.begin(), taken_.end(), [this](const auto& entry) {
      const auto& [at, block] = entry;
      std::byte* guard = base_ + at + block.bytes;
      return std::all_of(guard, base_ + at + block.size,
                         [value = std::byte{block.guard}](std::byte b) { return b == value; });
    });
    if (accesses_ == 0) close();
    return hold;
  }

  bool contains(const void* data, std::size_t bytes) {
    const std::lock_guard lock(mutex_);
    const std::size_t at = offset_of(data);
    auto block = taken_.upper_bound(at);
    if (block == taken_.begin()) return false;
    --block;
    return at >= block->first && at + bytes <= block->first + block->second.bytes;
  }

  void begin_access() {
    const std::lock_guard lock(mutex_);
    if (accesses_++ == 0) open();
  }
  void end_access() {
    const std::lock_guard lock(mutex_);
    if (--accesses_ == 0) close();
  }

 private:
  struct Taken {
    std::size_t bytes;  // that were asked for
    std::size_t size;   // with the guard
    unsigned char guard;
  };

  static constexpr unsigned char kFresh = 0xff;  // NaN: what is read before it is written shows
  // The first of four: no NaN, which additions would leave as it is. In f32 they are 0.2, 0.7, 3 and 12.
  static constexpr unsigned char kGuard = 0x3e;
  static constexpr std::size_t kPage = 4096;
  static constexpr std::size_t kHugePage = std::size_t{2} << 20;

  Memory() {
    void* mapped =
        ::mmap(nullptr, kBytes + kHugePage, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (mapped == MAP_FAILED) std::abort();
    base_ = static_cast<std::byte*>(mapped);
    base_ += kHugePage - reinterpret_cast<std::uintptr_t>(base_) % kHugePage;
    ::madvise(base_, kBytes, MADV_HUGEPAGE);  // of which there are fewer to open and close
  }

  std::size_t offset_of(const void* data) const {
    return static_cast<std::size_t>(static_cast<const std::byte*>(data) - base_);
  }
  void open() { protect(PROT_READ | PROT_WRITE); }
  void close() { protect(PROT_NONE); }
  void protect(int how) { ::mprotect(base_, (used_ + kHugePage - 1) / kHugePage * kHugePage, how); }

  std::mutex mutex_;
  std::byte* base_;
  std::size_t used_ = 0;
  int accesses_ = 0;
  int allocations_ = 0;
  std::map<std::size_t, Taken> taken_;        // by offset
  std::map<std::size_t, std::size_t> holes_;  // offset, size
};

Machine chosen_machine = Machine::one_gpu;
int chosen_capability = 90;
thread_local cudaError_t last_error = cudaSuccess;

}  // namespace

cudaError_t remember(cudaError_t status) {
  if (status != cudaSuccess) last_error = status;
  return status;
}

void set_machine(Machine machine) { chosen_machine = machine; }
void set_capability(int capability) { chosen_capability = capability; }

DeviceAccess::DeviceAccess() { Memory::get().begin_access(); }
DeviceAccess::~DeviceAccess() { Memory::get().end_access(); }

const std::byte* device_memory() { return Memory::get().base(); }
bool is_device_memory(const void* data, std::size_t bytes) { return Memory::get().contains(data, bytes); }
bool guards_hold() { return Memory::get().guards_hold(); }

}  // namespace retrace::gpu_host

using namespace retrace::gpu_host;

extern "C" {

cudaError_t cudaGetDeviceCount(int* count) {
  *count = chosen_machine == Machine::one_gpu ? 1 : 0;
  return chosen_machine == Machine::no_driver ? cudaErrorInsufficientDriver : cudaSuccess;
}
cudaError_t cudaSetDevice(int device) { return remember(device == 0 ? cudaSuccess : cudaErrorInvalidDevice); }
cudaError_t cudaGetLastError() { return std::exchange(last_error, cudaSuccess); }
const char* cudaGetErrorString(cudaError_t error) {
  return error == cudaSuccess ? "no error" : "an error of the host layer";
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int) {
  *properties = {};
  std::strcpy(properties->name, "the host layer");
  properties->totalGlobalMem = Memory::kBytes;
  properties->multiProcessorCount = 3;
  properties->major = chosen_capability / 10;
  properties->minor = chosen_capability % 10;
  return cudaSuccess;
}
cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int) {
  *value = attribute == cudaDevAttrClockRate ? 1'500'000 : 0;
  return cudaSuccess;
}

cudaError_t cudaMalloc(void** data, std::size_t bytes) {
  *data = Memory::get().allocate(bytes);
  return remember(*data == nullptr ? cudaErrorMemoryAllocation : cudaSuccess);
}
cudaError_t cudaFree(void* data) {
  return remember(data == nullptr || Memory::get().free(data) ? cudaSuccess : cudaErrorInvalidValue);
}

}  // extern "C"
