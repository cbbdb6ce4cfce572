#pragma once
#include <retrace/autograd/tape.h>
#include <retrace/report/recording.h>

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

namespace retrace {

/// Records what memory a step takes, and for what:
/// ```cpp
/// MemoryRecorder recorder;
/// tape.observe(&recorder);
/// // forward, backward
/// write_html("memory.html", {.recordings = {recorder.recording("reversible")}});
/// ```
/// It counts the allocations of all threads on its device, and sees the tapes of the one that it observes. It
/// keeps no tensor alive and changes no byte. A step takes a little longer while it is watched.
/// With a GPU, times are those of the host, which calls and does not wait.
class MemoryRecorder final : public TapeObserver {
 public:
  /// Begins to record what happens on that device.
  explicit MemoryRecorder(Device device = Device::cpu());

  /// Begins a phase. `forward` begins with the recorder, `backward` and `update` with the begin and the end
  /// of the outermost tape's backward, without this call.
  void begin_phase(std::string name);
  void on(const TapeEvent& event) override;

  /// What happened until now. `name` says what was watched, for titles and legends.
  Recording recording(std::string name) const;

 private:
  std::size_t node_of(const TapeEvent& event);
  void add_saved(Recording::Node& node, const TapeHook& hook) const;

  Device device_;
  Counter counter_;
  Recording record_;  // without name and events
  std::unordered_map<const TapeHook*, std::size_t> nodes_;
  std::vector<std::size_t> running_;  // spans of derivatives, the innermost last
  Counter::Moment last_;              // of the tape's last event
};

}  // namespace retrace
