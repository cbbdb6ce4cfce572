#include <retrace/cli/step.h>
#include <retrace/cli/timeline.h>
#include <retrace/core/memory.h>

#include <algorithm>

namespace retrace::cli {

Timeline watch_step(const std::string& name, Module& network, Optimizer& optimizer, const Batch& batch) {
  const Counter counter(kStepTags, /*remember=*/true, device_of(network));
  const StepResult step = training_step(network, optimizer, batch, 1);
  Timeline timeline{.name = name,
                    .points = {{.seconds = 0, .bytes = 0}},
                    .forward_end = step.forward_seconds,
                    .backward_end = step.forward_seconds + step.backward_seconds,
                    .end = step.seconds(),
                    .peak = step.peak_bytes};
  std::int64_t bytes = 0;
  for (const Counter::Event& event : counter.events()) {
    bytes += event.alive ? event.record.bytes : -event.record.bytes;
    timeline.points.push_back({.seconds = std::min(event.seconds, timeline.end), .bytes = bytes});
  }
  return timeline;
}

}  // namespace retrace::cli
