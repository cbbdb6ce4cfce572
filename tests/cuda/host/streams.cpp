// Streams, events and copies. Work is done at once, but for copies from page-locked memory: those are put off
// until someone waits for them, as late as a GPU might do them. So who reads the result too early, or writes
// the source too early, finds other numbers.
#include "gpu_host.h"
#include "host_layer.h"

#include <chrono>
#include <cstring>
#include <deque>
#include <map>
#include <mutex>

namespace retrace::gpu_host {

namespace {

std::recursive_mutex mutex;  // guards all of this

struct Copy {
  void* to;
  const void* from;
  std::size_t bytes;
};

struct Stream {
  std::deque<Copy> put_off{};
  std::int64_t done = 0;   ///< copies
  std::int64_t known = 0;  ///< launches and calls that it has waited for

  void run(std::int64_t until) {
    for (; done < until && !put_off.empty(); ++done, put_off.pop_front()) {
      const auto [to, from, bytes] = put_off.front();
      const DeviceAccess access;
      std::memcpy(to, from, bytes);
    }
  }
  std::int64_t asked() const { return done + static_cast<std::int64_t>(put_off.size()); }
};

struct Event {
  Stream* stream = nullptr;
  std::int64_t copies = 0;  ///< of the stream that come before
  std::int64_t work = 0;    ///< launches and calls that do
  std::chrono::steady_clock::time_point time{};

  void happen() const {
    if (stream != nullptr) stream->run(copies);
  }
};

/// Page-locked ranges: where they begin, and their bytes.
std::map<const std::byte*, std::size_t> locked;

bool is_locked(const void* data, std::size_t bytes) {
  const auto* at = static_cast<const std::byte*>(data);
  auto range = locked.upper_bound(at);
  if (range == locked.begin()) return false;
  --range;
  return at + bytes <= range->first + range->second;
}

Stream& of(cudaStream_t stream) { return *reinterpret_cast<Stream*>(stream); }
Event& of(cudaEvent_t event) { return *reinterpret_cast<Event*>(event); }

std::int64_t work_asked() {
  Counts& counts = mutable_counts();
  return std::atomic_ref(counts.launches).load() + std::atomic_ref(counts.library_calls).load();
}

}  // namespace

}  // namespace retrace::gpu_host

using namespace retrace::gpu_host;

extern "C" {

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
  *stream = reinterpret_cast<cudaStream_t>(new Stream);
  return cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  const std::lock_guard lock(mutex);
  add(mutable_counts().waits, 1);
  of(stream).run(of(stream).asked());
  return cudaSuccess;
}
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned) {
  const std::lock_guard lock(mutex);
  of(event).happen();
  of(stream).known = std::max(of(stream).known, of(event).work);
  return cudaSuccess;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) {
  *event = reinterpret_cast<cudaEvent_t>(new Event);
  return cudaSuccess;
}
cudaError_t cudaEventDestroy(cudaEvent_t event) {
  delete &of(event);
  return cudaSuccess;
}
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  const std::lock_guard lock(mutex);
  add(mutable_counts().events, 1);
  of(event) = {&of(stream), of(stream).asked(), work_asked(), std::chrono::steady_clock::now()};
  return cudaSuccess;
}
cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  const std::lock_guard lock(mutex);
  of(event).happen();
  return cudaSuccess;
}
cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t start, cudaEvent_t end) {
  const std::lock_guard lock(mutex);
  if (of(start).stream == nullptr || of(end).stream == nullptr)
    return remember(cudaErrorInvalidResourceHandle);
  *milliseconds = std::chrono::duration<float, std::milli>(of(end).time - of(start).time).count();
  return cudaSuccess;
}

cudaError_t cudaHostRegister(void* data, std::size_t bytes, unsigned) {
  const std::lock_guard lock(mutex);
  const auto* begin = static_cast<const std::byte*>(data);
  const auto next = locked.lower_bound(begin);
  const bool overlaps = (next != locked.end() && next->first < begin + bytes) || is_locked(begin, 1);
  if (overlaps) return remember(cudaErrorHostMemoryAlreadyRegistered);
  locked[begin] = bytes;
  return cudaSuccess;
}
cudaError_t cudaHostUnregister(void* data) {
  const std::lock_guard lock(mutex);
  const bool known = locked.erase(static_cast<const std::byte*>(data)) == 1;
  return remember(known ? cudaSuccess : cudaErrorHostMemoryNotRegistered);
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream) {
  const std::lock_guard lock(mutex);
  const bool to_device = kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice;
  const bool from_device = kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice;
  if (is_device_memory(to, bytes) != to_device || is_device_memory(from, bytes) != from_device)
    return remember(cudaErrorInvalidValue);
  add(to_device ? mutable_counts().uploaded : mutable_counts().downloaded,
      static_cast<std::int64_t>(to_device && from_device ? 0 : bytes));
  if (Watcher* watching = watcher(); watching != nullptr) {
    watching->begin();
    if (from_device) watching->read(from, bytes);
    if (to_device) watching->written(to, bytes);
  }
  if (kind == cudaMemcpyHostToDevice && is_locked(from, bytes)) {
    if (of(stream).known < work_asked()) add(mutable_counts().hasty_copies, 1);
    of(stream).put_off.push_back({to, from, bytes});
    return cudaSuccess;
  }
  of(stream).run(of(stream).asked());
  const DeviceAccess access;
  std::memcpy(to, from, bytes);
  return cudaSuccess;
}

}  // extern "C"
