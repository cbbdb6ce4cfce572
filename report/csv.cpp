#include <retrace/core/file.h>
#include <retrace/core/format.h>
#include <retrace/report/check.h>

#include <array>

namespace retrace {

namespace {

/// In quotes, as RFC 4180 has it.
std::string csv_cell(std::string_view text) {
  std::string result = "\"";
  for (const char c : text) {
    if (c == '"') result += '"';
    result += c;
  }
  return result + "\"";
}

void add_rows(const Recording& recording, std::string& csv) {
  std::array<std::int64_t, kTagCount> live{};
  const std::size_t start = detail::events_at_start(recording);
  std::size_t phase = 0;
  for (std::size_t e = 0; e < recording.events.size(); ++e) {
    const Counter::Event& event = recording.events[e];
    live[static_cast<std::size_t>(event.record.tag)] += detail::change_of(event);
    if (e + 1 < start) continue;
    while (phase + 1 < recording.phases.size() && recording.phases[phase + 1].begin.events <= e) ++phase;
    const Recording::Span* span = span_of(recording, e);
    csv += fmt::format("{},{:.9f},{},{},{}\n", csv_cell(recording.name), event.seconds,
                       csv_cell(recording.phases.empty() ? "" : recording.phases[phase].name),
                       csv_cell(span == nullptr ? "" : name_of(recording.nodes[span->node])),
                       fmt::join(live, ","));
  }
}

}  // namespace

void write_csv(const std::filesystem::path& path, const MemoryReport& report) {
  detail::check_report(report);
  std::string csv = "recording,seconds,phase,node";
  for (int tag = 0; tag < kTagCount; ++tag) csv += fmt::format(",{}_bytes", name_of(static_cast<Tag>(tag)));
  csv += "\n";
  for (const Recording& recording : report.recordings) add_rows(recording, csv);
  write_file_atomically(path, csv);
}

}  // namespace retrace
