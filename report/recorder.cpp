#include <retrace/report/recorder.h>

#include <algorithm>
#include <utility>

namespace retrace {

MemoryRecorder::MemoryRecorder(Device device)
    : device_(device), counter_(TagSet::all(), /*remember=*/true, device), last_(counter_.now()) {
  record_.phases.push_back({.name = "forward", .begin = last_});
}

void MemoryRecorder::begin_phase(std::string name) {
  last_ = counter_.now();
  record_.phases.push_back({.name = std::move(name), .begin = last_});
}

/// The node of an event. One that the recorder did not see recorded was there before it.
std::size_t MemoryRecorder::node_of(const TapeEvent& event) {
  const auto found = nodes_.find(event.hook);
  if (found != nodes_.end()) return found->second;
  record_.nodes.push_back({.op = event.op, .scope = event.scope, .depth = event.depth});
  return nodes_[event.hook] = record_.nodes.size() - 1;
}

/// What was released has no serial; it gets one when it comes back.
void MemoryRecorder::add_saved(Recording::Node& node, const TapeHook& hook) const {
  for (const SavedTensor& saved : hook.saved()) {
    if (!saved.tensor.defined() || !(saved.tensor.device() == device_)) continue;
    const std::uint64_t serial = saved.tensor.storage().serial();
    if (serial == 0 || std::find(node.saved.begin(), node.saved.end(), serial) != node.saved.end()) continue;
    node.saved.push_back(serial);
  }
}

void MemoryRecorder::on(const TapeEvent& event) {
  using Kind = TapeEvent::Kind;
  using SpanKind = Recording::Span::Kind;
  const Counter::Moment now = counter_.now();
  if (event.kind == Kind::backward || event.kind == Kind::finished) {
    last_ = now;
    if (event.depth > 0) return;
    running_.clear();  // after a backward that failed
    record_.phases.push_back({.name = event.kind == Kind::backward ? "backward" : "update", .begin = now});
    return;
  }
  if (event.kind == Kind::recorded) nodes_.erase(event.hook);  // of a node that is gone, at the same address
  const std::size_t n = node_of(event);
  Recording::Node& node = record_.nodes[n];
  if (event.kind == Kind::recorded) {
    node.recorded = now.events;
    record_.spans.push_back({.node = n,
                             .kind = Recomputing::active() ? SpanKind::replay : SpanKind::forward,
                             .begin = last_,
                             .end = now});
  } else if (event.kind == Kind::running) {
    running_.push_back(record_.spans.size());
    record_.spans.push_back({.node = n, .kind = SpanKind::derivative, .begin = now, .end = now});
  } else {
    node.done = now.events;
    record_.spans[running_.back()].end = now;
    running_.pop_back();
  }
  if (event.kind != Kind::done) add_saved(node, *event.hook);
  last_ = now;
}

Recording MemoryRecorder::recording(std::string name) const {
  Recording recording = record_;
  recording.name = std::move(name);
  recording.end = counter_.now();
  recording.events = counter_.events();
  recording.events.resize(recording.end.events);
  for (const std::size_t span : running_) recording.spans[span].end = recording.end;
  return recording;
}

}  // namespace retrace
