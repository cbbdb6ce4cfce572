#pragma once
// Internal: moments in a stream.
#include <retrace/cuda/context.h>

namespace retrace::cuda {

/// A moment in a stream of the current GPU. `flags` as for cudaEventCreateWithFlags.
class Event {
 public:
  explicit Event(unsigned flags = cudaEventDisableTiming) {
    check(cudaEventCreateWithFlags(&event_, flags), "cudaEventCreateWithFlags");
  }
  ~Event() { static_cast<void>(cudaEventDestroy(event_)); }
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;

  /// From now on this is the moment at which the stream has done what it was asked for until now.
  void record(cudaStream_t stream) { check(cudaEventRecord(event_, stream), "cudaEventRecord"); }
  /// The stream goes on behind this moment; before the first `record`, at once.
  void hold_up(cudaStream_t stream) const {
    check(cudaStreamWaitEvent(stream, event_, 0), "cudaStreamWaitEvent");
  }
  /// The host does.
  void wait() const { check(cudaEventSynchronize(event_), "cudaEventSynchronize"); }
  /// The same for destructors, without an error.
  void finish() const noexcept { static_cast<void>(cudaEventSynchronize(event_)); }
  /// From `start` to this moment, which must have come. Both were made with cudaEventDefault.
  double seconds_since(const Event& start) const {
    float milliseconds = 0;
    check(cudaEventElapsedTime(&milliseconds, start.event_, event_), "cudaEventElapsedTime");
    return 1e-3 * static_cast<double>(milliseconds);
  }

 private:
  cudaEvent_t event_ = nullptr;
};

}  // namespace retrace::cuda
