#include <retrace/core/fail.h>
#include <retrace/report/check.h>
#include <retrace/report/page.h>

#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <tuple>
#include <unordered_map>

namespace retrace {

namespace {

using Json = nlohmann::ordered_json;

/// Numbers texts in the order in which they come.
class Texts {
 public:
  std::size_t operator()(const std::string& text) {
    const auto [found, is_new] = numbers_.try_emplace(text, list_.size());
    if (is_new) list_.push_back(text);
    return found->second;
  }
  const Json& list() const { return list_; }

 private:
  std::unordered_map<std::string, std::size_t> numbers_;
  Json list_ = Json::array();
};

/// The unit of all times: 100 ns.
std::int64_t ticks(double seconds) { return std::llround(1e7 * seconds); }

class RecordingJson {
 public:
  RecordingJson(const Recording& recording, Texts& texts) : recording_(recording), texts_(texts) {}

  Json make() {
    const MemoryFigures figures = figures_of(recording_);
    Json json = {{"name", recording_.name},
                 {"afterForward", figures.after_forward_bytes},
                 {"peak", figures.peak_bytes},
                 {"peakEvents", figures.peak_events},
                 {"start", detail::events_at_start(recording_)},
                 {"end", ticks(recording_.end.seconds)},
                 {"phases", phases()}};
    add_events(json);
    json["nodes"] = nodes();
    json["spans"] = spans();
    json["alive"] = alive();
    return json;
  }

 private:
  Json phases() const {
    Json list = Json::array();
    for (const Recording::Phase& phase : recording_.phases)
      list.push_back({phase.name, ticks(phase.begin.seconds), phase.begin.events});
    return list;
  }

  std::size_t kind_of(const AllocationRecord& record) {
    const auto op = static_cast<std::int64_t>(texts_(std::string(record.op)));
    const auto scope = static_cast<std::int64_t>(texts_(path_of(record.scope)));
    const auto shape = static_cast<std::int64_t>(texts_(fmt::format("{} {}", record.dtype, record.shape)));
    const Key key{static_cast<std::int64_t>(record.tag), op, scope, shape, record.bytes};
    const auto [found, is_new] = kinds_.try_emplace(key, kinds_.size());
    if (is_new) kind_list_.push_back({static_cast<int>(record.tag), op, scope, shape, record.bytes});
    return found->second;
  }

  /// events: an allocation is the number of its kind; an end is -n, of the n-th last allocation.
  /// times: one for each event, in ticks since the one before it.
  void add_events(Json& json) {
    Json events = Json::array();
    Json times = Json::array();
    std::unordered_map<std::uint64_t, std::int64_t> allocation_of;  // by serial
    std::int64_t allocations = 0;
    std::int64_t before = 0;
    for (const Counter::Event& event : recording_.events) {
      const std::int64_t now = ticks(event.seconds);
      times.push_back(now - std::exchange(before, now));
      if (event.alive) {
        allocation_of[event.record.serial] = allocations;
        allocation_at_.push_back(allocations++);
        events.push_back(kind_of(event.record));
      } else {
        allocation_at_.push_back(-1);
        events.push_back(allocation_of.at(event.record.serial) - allocations);
      }
    }
    json["kinds"] = kind_list_;
    json["events"] = std::move(events);
    json["times"] = std::move(times);
  }

  Json nodes() {
    Json list = Json::array();
    for (const Recording::Node& node : recording_.nodes)
      list.push_back({texts_(std::string(node.op)), texts_(path_of(node.scope)), node.depth});
    return list;
  }

  /// Flat: node, kind, begin in ticks and in events, each since the begin before it, length in both.
  Json spans() const {
    Json list = Json::array();
    std::int64_t last_tick = 0;
    std::size_t last_event = 0;
    for (const Recording::Span& span : recording_.spans) {
      const std::int64_t begin = ticks(span.begin.seconds);
      for (const std::int64_t number :
           {static_cast<std::int64_t>(span.node), static_cast<std::int64_t>(span.kind), begin - last_tick,
            static_cast<std::int64_t>(span.begin.events - last_event), ticks(span.end.seconds) - begin,
            static_cast<std::int64_t>(span.end.events - span.begin.events)})
        list.push_back(number);
      last_tick = begin;
      last_event = span.begin.events;
    }
    return list;
  }

  /// Rows: the number of the allocation, the sentence that says why, the nodes in it.
  Json alive() const {
    Json rows = Json::array();
    for (const AliveAtPeak& row : alive_at_peak(recording_))
      rows.push_back({allocation_at_[row.event], static_cast<int>(row.why), row.nodes});
    return rows;
  }

  using Key = std::tuple<std::int64_t, std::int64_t, std::int64_t, std::int64_t, std::int64_t>;
  const Recording& recording_;
  Texts& texts_;
  std::map<Key, std::size_t> kinds_;
  Json kind_list_ = Json::array();
  std::vector<std::int64_t> allocation_at_;  // for each event
};

Json tags() {
  Json list = Json::array();
  for (int tag = 0; tag < kTagCount; ++tag)
    list.push_back({name_of(static_cast<Tag>(tag)), kStepTags.contains(static_cast<Tag>(tag))});
  return list;
}

Json sentences() {
  Json list = Json::array();
  for (int why = 0; why <= static_cast<int>(Why::program); ++why)
    list.push_back(sentence_of(static_cast<Why>(why)));
  return list;
}

}  // namespace

std::string detail::page_data(const MemoryReport& report) {
  Texts texts;
  Json json = {{"title", report.title}, {"text", report.text},         {"tags", tags()},
               {"whys", sentences()},   {"recordings", Json::array()}, {"depths", Json::array()}};
  for (const Recording& recording : report.recordings)
    json["recordings"].push_back(RecordingJson(recording, texts).make());
  for (const DepthPoint& point : report.depths)
    json["depths"].push_back({point.series, point.blocks, point.after_forward_bytes, point.peak_bytes});
  json["texts"] = texts.list();
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);  // names need not be UTF-8
}

}  // namespace retrace
