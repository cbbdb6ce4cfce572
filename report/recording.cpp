#include <retrace/core/format.h>
#include <retrace/report/check.h>

#include <algorithm>
#include <map>
#include <unordered_map>

namespace retrace {

namespace {

/// Which nodes saved which allocation.
std::unordered_map<std::uint64_t, std::vector<std::size_t>> savers_of(const Recording& recording) {
  std::unordered_map<std::uint64_t, std::vector<std::size_t>> savers;
  for (std::size_t n = 0; n < recording.nodes.size(); ++n)
    for (const std::uint64_t serial : recording.nodes[n].saved) savers[serial].push_back(n);
  return savers;
}

/// Of an allocation that no node on the tape keeps.
void explain_by_maker(const Recording& recording, AliveAtPeak& alive) {
  const Recording::Span* maker = span_of(recording, alive.event);
  if (maker == nullptr) return;
  alive.nodes = {maker->node};
  if (alive.record.tag == Tag::workspace)
    alive.why = Why::workspace;
  else if (maker->kind == Recording::Span::Kind::derivative)
    alive.why = Why::derived;
  else
    alive.why = Why::made;
}

void explain(const Recording& recording, const std::vector<std::size_t>& savers, std::size_t peak,
             AliveAtPeak& alive) {
  for (const std::size_t n : savers)
    if (recording.nodes[n].recorded <= peak && peak <= recording.nodes[n].done) alive.nodes.push_back(n);
  if (!alive.nodes.empty()) {
    alive.why = Why::saved;
    return;
  }
  const auto next = std::find_if(savers.begin(), savers.end(),
                                 [&](std::size_t n) { return recording.nodes[n].recorded > peak; });
  if (next == savers.end()) return explain_by_maker(recording, alive);
  alive.why = Why::will_save;
  alive.nodes = {*next};
}

}  // namespace

std::string name_of(const Recording::Node& node) {
  const std::string path = path_of(node.scope);
  return path.empty() ? std::string(node.op) : fmt::format("{} of {}", node.op, path);
}

const Recording::Span* span_of(const Recording& recording, std::size_t event) {
  const auto begun = std::ranges::upper_bound(recording.spans, event, {},
                                              [](const Recording::Span& span) { return span.begin.events; });
  const auto innermost = std::find_if(std::reverse_iterator(begun), recording.spans.rend(),
                                      [&](const Recording::Span& span) { return event < span.end.events; });
  return innermost == recording.spans.rend() ? nullptr : &*innermost;
}

MemoryFigures figures_of(const Recording& recording) {
  const auto backward = std::find_if(recording.phases.begin(), recording.phases.end(),
                                     [](const Recording::Phase& phase) { return phase.name == "backward"; });
  const std::size_t forward_end =
      backward == recording.phases.end() ? recording.end.events : backward->begin.events;
  MemoryFigures figures;
  std::int64_t live = 0;
  for (std::size_t e = 0; e < recording.events.size(); ++e) {
    const Counter::Event& event = recording.events[e];
    if (kStepTags.contains(event.record.tag)) live += detail::change_of(event);
    if (live > figures.peak_bytes) {
      figures.peak_bytes = live;
      figures.peak_events = e + 1;
    }
    if (e < forward_end) figures.after_forward_bytes = live;
  }
  return figures;
}

std::vector<AliveAtPeak> alive_at_peak(const Recording& recording) {
  const std::size_t peak = figures_of(recording).peak_events;
  std::map<std::uint64_t, std::size_t> alive;
  for (std::size_t e = 0; e < peak; ++e) {
    const Counter::Event& event = recording.events[e];
    if (!kStepTags.contains(event.record.tag)) continue;
    if (event.alive)
      alive[event.record.serial] = e;
    else
      alive.erase(event.record.serial);
  }
  const auto savers = savers_of(recording);
  std::vector<AliveAtPeak> rows;
  for (const auto& entry : alive) {
    AliveAtPeak row{.record = recording.events[entry.second].record, .event = entry.second};
    const auto found = savers.find(entry.first);
    explain(recording, found == savers.end() ? std::vector<std::size_t>() : found->second, peak, row);
    rows.push_back(std::move(row));
  }
  std::stable_sort(rows.begin(), rows.end(), [](const AliveAtPeak& a, const AliveAtPeak& b) {
    return a.record.bytes > b.record.bytes;
  });
  return rows;
}

std::string_view sentence_of(Why why) {
  switch (why) {
    case Why::saved:
      return "{} saved it for the way back";
    case Why::will_save:
      return "made for {}, which is about to save it";
    case Why::workspace:
      return "scratch space of {}, while it runs";
    case Why::made:
      return "made while {} ran; no node saved it: what reads it next holds it";
    case Why::derived:
      return "a gradient on its way back, made by the derivative of {}";
    case Why::program:
      break;
  }
  return "made outside of every node: the program or backward itself holds it";
}

std::string why_of(const Recording& recording, const AliveAtPeak& alive) {
  std::string names;
  for (std::size_t i = 0; i < alive.nodes.size(); ++i) {
    if (i > 0) names += i + 1 == alive.nodes.size() ? " and " : ", ";
    names += name_of(recording.nodes[alive.nodes[i]]);
  }
  std::string text(sentence_of(alive.why));
  const std::size_t place = text.find("{}");
  return place == std::string::npos ? text : text.replace(place, 2, names);
}

}  // namespace retrace
