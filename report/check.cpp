#include <retrace/core/fail.h>
#include <retrace/report/check.h>

#include <algorithm>

namespace retrace {

void detail::check_report(const MemoryReport& report) {
  if (report.recordings.empty())
    fail<ArgumentError>("report", "there must be at least one recording, got none");
}

std::size_t detail::events_at_start(const Recording& recording) {
  const auto first = std::find_if(recording.events.begin(), recording.events.end(),
                                  [](const Counter::Event& event) { return event.seconds > 0; });
  return static_cast<std::size_t>(first - recording.events.begin());
}

std::int64_t detail::change_of(const Counter::Event& event) {
  return event.alive ? event.record.bytes : -event.record.bytes;
}

Recording::Moment detail::end_of_phase(const Recording& recording, std::size_t p) {
  return p + 1 == recording.phases.size() ? recording.end : recording.phases[p + 1].begin;
}

std::string detail::escaped(std::string_view text) {
  std::string result;
  for (const char c : printable(text)) {  // XML takes neither control characters nor bytes that are no UTF-8
    if (c == '<')
      result += "&lt;";
    else if (c == '&')
      result += "&amp;";
    else
      result += c;
  }
  return result;
}

}  // namespace retrace
