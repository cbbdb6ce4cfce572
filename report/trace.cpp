#include <retrace/core/file.h>
#include <retrace/core/format.h>
#include <retrace/report/check.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>

// The format is described in "Trace Event Format",
// https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU.

namespace retrace {

namespace {

constexpr std::string_view kTotal = "activation bytes of the step";
constexpr int kThread = 1;

/// A text as JSON has it.
/// A text as JSON; names need not be UTF-8.
std::string json(std::string_view text) {
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

/// Nanoseconds; what is printed are microseconds with three digits, so that sums stay exact.
std::int64_t nanoseconds(double seconds) { return std::llround(1e9 * seconds); }

std::string microseconds(std::int64_t ns) { return fmt::format("{}.{:03}", ns / 1000, ns % 1000); }

/// One recording, which is one process of the trace.
class Process {
 public:
  Process(const Recording& recording, int number, std::string& text)
      : recording_(recording), number_(number), text_(text) {
    live_.push_back(0);
    for (const Counter::Event& event : recording.events) {
      const bool counts = kStepTags.contains(event.record.tag);
      live_.push_back(live_.back() + (counts ? detail::change_of(event) : 0));
    }
  }

  void add_all() {
    add(fmt::format("\"ph\":\"M\",\"name\":\"process_name\",\"args\":{{\"name\":{}}}",
                    json(recording_.name)));
    add(fmt::format("\"ph\":\"M\",\"name\":\"thread_name\",\"tid\":{},\"args\":{{\"name\":\"step\"}}",
                    kThread));
    add_phases();
    for (const Recording::Span& span : recording_.spans) add_span(span);
    add_counters();
  }

 private:
  void add(const std::string& fields) { text_ += fmt::format("{{\"pid\":{},{}}},\n", number_, fields); }

  void add_complete(std::string_view name, std::string_view category, const Recording::Moment& begin,
                    const Recording::Moment& end, const std::string& more) {
    const std::int64_t start = nanoseconds(begin.seconds);
    const auto first = live_.begin() + static_cast<std::ptrdiff_t>(begin.events);
    const auto last = live_.begin() + static_cast<std::ptrdiff_t>(end.events);
    std::int64_t allocated = 0;
    for (auto at = first; at != last; ++at) allocated += std::max<std::int64_t>(0, at[1] - at[0]);
    add(
        fmt::format("\"ph\":\"X\",\"tid\":{},\"ts\":{},\"dur\":{},\"name\":{},\"cat\":\"{}\",\"args\":{{{}"
                    "\"allocated_bytes\":{},\"most_bytes\":{},\"bytes_after\":{}}}",
                    kThread, microseconds(start), microseconds(nanoseconds(end.seconds) - start), json(name),
                    category, more, allocated, *std::max_element(first, last + 1), *last));
  }

  void add_phases() {
    for (std::size_t p = 0; p < recording_.phases.size(); ++p) {
      const Recording::Phase& phase = recording_.phases[p];
      add_complete(phase.name, "phase", phase.begin, detail::end_of_phase(recording_, p), "");
    }
  }

  void add_span(const Recording::Span& span) {
    constexpr std::array<std::string_view, 3> kKinds = {"forward", "replay", "derivative"};
    const Recording::Node& node = recording_.nodes[span.node];
    const bool derivative = span.kind == Recording::Span::Kind::derivative;
    add_complete(fmt::format("{}{}", node.op, derivative ? ", derivative" : ""),
                 kKinds[static_cast<std::size_t>(span.kind)], span.begin, span.end,
                 fmt::format("\"where\":{},", json(path_of(node.scope))));
  }

  void add_counter(std::string_view name, double seconds, std::int64_t bytes) {
    add(fmt::format("\"ph\":\"C\",\"ts\":{},\"name\":\"{}\",\"args\":{{\"bytes\":{}}}",
                    microseconds(nanoseconds(seconds)), name, bytes));
  }

  /// What is alive at the start, then each change.
  void add_counters() {
    std::array<std::int64_t, kTagCount> live{};
    const auto change = [&](const Counter::Event& event) -> std::int64_t {
      return live[static_cast<std::size_t>(event.record.tag)] += detail::change_of(event);
    };
    const std::size_t start = detail::events_at_start(recording_);
    for (std::size_t e = 0; e < start; ++e) change(recording_.events[e]);
    for (int tag = 0; tag < kTagCount; ++tag)
      add_counter(name_of(static_cast<Tag>(tag)), 0, live[static_cast<std::size_t>(tag)]);
    add_counter(kTotal, 0, live_[start]);
    for (std::size_t e = start; e < recording_.events.size(); ++e) {
      const Counter::Event& event = recording_.events[e];
      add_counter(name_of(event.record.tag), event.seconds, change(event));
      if (kStepTags.contains(event.record.tag)) add_counter(kTotal, event.seconds, live_[e + 1]);
    }
  }

  const Recording& recording_;
  int number_;
  std::string& text_;
  std::vector<std::int64_t> live_;  // of kStepTags, before each event and at the end
};

}  // namespace

void write_trace(const std::filesystem::path& path, const MemoryReport& report) {
  detail::check_report(report);
  std::string text = "{\"displayTimeUnit\":\"ms\",\"traceEvents\":[\n";
  int number = 0;
  for (const Recording& recording : report.recordings) Process(recording, ++number, text).add_all();
  text.resize(text.size() - 2);  // the last comma
  write_file_atomically(path, text + "\n]}\n");
}

}  // namespace retrace
