#pragma once
#include <retrace/report/recording.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace retrace {

/// One network of a series that differs in depth. Bytes are those of kStepTags.
struct DepthPoint {
  std::string series{};                  ///< the recording to which it belongs, by name
  std::int64_t blocks = 0;               ///< in all stages
  std::int64_t after_forward_bytes = 0;  ///< as in MemoryFigures
  std::int64_t peak_bytes = 0;           ///< as in MemoryFigures
};

/// What a page or a picture shows: recordings on one scale, the first one being that which others are
/// compared with, and how memory grows with depth.
struct MemoryReport {
  std::string title = "Memory of one training step";  ///< the heading
  std::string text{};                   ///< in a sentence or two: what was run, or what is to be seen
  std::vector<Recording> recordings{};  ///< at least one
  std::vector<DepthPoint> depths{};     ///< may be empty
};

// All of these write a file as a whole or not at all. They throw ArgumentError for a report without a
// recording, and IoError.

/// One page that needs nothing beside itself: live bytes over the step by tag, what was alive at the peak and
/// why, bytes by depth, and all figures as tables.
void write_html(const std::filesystem::path& path, const MemoryReport& report);
/// A picture: the bytes of kStepTags over the step, and its phases.
void write_svg(const std::filesystem::path& path, const MemoryReport& report);
/// A row for each change: recording, seconds, phase, node, and the bytes of each tag from then on.
void write_csv(const std::filesystem::path& path, const MemoryReport& report);
/// Chrome's trace format, for https://ui.perfetto.dev: a process for each recording, a span for each phase
/// and node, a counter for each tag and one for all of kStepTags.
void write_trace(const std::filesystem::path& path, const MemoryReport& report);

}  // namespace retrace
