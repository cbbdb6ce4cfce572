#include <retrace/core/allocator.h>
#include <retrace/core/fail.h>
#include <retrace/core/memory.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <mutex>
#include <tuple>
#include <unordered_map>

namespace retrace {

struct Ledger::State {
  mutable std::mutex mutex;
  std::array<std::int64_t, kTagCount> live{};
  std::array<std::int64_t, kTagCount> total{};
  std::int64_t cached = 0;
  std::int64_t budget = 0;
  std::uint64_t last_serial = 0;
  std::unordered_map<std::uint64_t, AllocationRecord> records;
  std::vector<Counter*> counters;

  static std::int64_t sum(const std::array<std::int64_t, kTagCount>& bytes, TagSet tags) {
    std::int64_t result = 0;
    for (int t = 0; t < kTagCount; ++t)
      if (tags.contains(static_cast<Tag>(t))) result += bytes[static_cast<std::size_t>(t)];
    return result;
  }

  /// `moved`: between tags, which is no allocation.
  void change(const AllocationRecord& record, bool alive, bool moved = false) {
    const auto t = static_cast<std::size_t>(record.tag);
    live[t] += alive ? record.bytes : -record.bytes;
    if (alive && !moved) total[t] += record.bytes;
    for (Counter* counter : counters) counter->on_change(record, alive, moved);
  }
};

std::string_view name_of(Tag tag) {
  constexpr std::array<std::string_view, kTagCount> kNames = {"parameter", "buffer",     "parameter_gradient",
                                                              "optimizer", "activation", "saved",
                                                              "gradient",  "workspace",  "data"};
  return kNames[static_cast<std::size_t>(tag)];
}

std::string format_bytes(std::int64_t bytes) {
  constexpr std::array<std::string_view, 4> kUnits = {"B", "KiB", "MiB", "GiB"};
  std::size_t unit = 0;
  auto value = static_cast<double>(bytes);
  for (; std::abs(value) >= 1024 && unit + 1 < kUnits.size(); ++unit) value /= 1024;
  return unit == 0 ? fmt::format("{} B", bytes) : fmt::format("{:.1f} {}", value, kUnits[unit]);
}

std::string table_of(const std::vector<AllocationRecord>& records, std::size_t most_rows) {
  struct Group {
    std::int64_t bytes = 0;
    std::int64_t count = 0;
  };
  using Key = std::tuple<std::string, std::string_view, Tag>;
  std::map<Key, Group> groups;
  for (const AllocationRecord& record : records) {
    Group& group = groups[Key(path_of(record.scope), record.op, record.tag)];
    group.bytes += record.bytes;
    ++group.count;
  }
  std::vector<std::pair<Key, Group>> rows(groups.begin(), groups.end());
  std::stable_sort(rows.begin(), rows.end(),
                   [](const auto& a, const auto& b) { return a.second.bytes > b.second.bytes; });

  std::size_t width = 16;  // of the operations' names
  for (std::size_t r = 0; r < std::min(most_rows, rows.size()); ++r)
    width = std::max(width, std::get<std::string_view>(rows[r].first).size());
  std::string text = fmt::format("{:>12}  {:>5}  {:<18}  {:<{}}  {}\n", "bytes", "count", "tag", "operation",
                                 width, "where");
  Group rest;
  for (std::size_t r = 0; r < rows.size(); ++r) {
    const auto& [key, group] = rows[r];
    if (r >= most_rows) {
      rest.bytes += group.bytes;
      rest.count += group.count;
      continue;
    }
    const auto& [path, op, tag] = key;
    text += fmt::format("{:>12}  {:>5}  {:<18}  {:<{}}  {}\n", group.bytes, group.count, name_of(tag),
                        op.empty() ? "-" : op, width, path.empty() ? "-" : printable(path));
  }
  if (rest.count > 0) text += fmt::format("{:>12}  {:>5}  (smaller ones)\n", rest.bytes, rest.count);
  return text;
}

Ledger::Ledger() : state_(std::make_unique<State>()) {}
Ledger::~Ledger() = default;

std::int64_t Ledger::live(TagSet tags) const {
  const std::lock_guard lock(state_->mutex);
  return State::sum(state_->live, tags);
}

std::int64_t Ledger::total(TagSet tags) const {
  const std::lock_guard lock(state_->mutex);
  return State::sum(state_->total, tags);
}

std::int64_t Ledger::cached() const {
  const std::lock_guard lock(state_->mutex);
  return state_->cached;
}

std::vector<AllocationRecord> Ledger::alive(TagSet tags) const {
  const std::lock_guard lock(state_->mutex);
  std::vector<AllocationRecord> result;
  for (const auto& [serial, record] : state_->records)
    if (tags.contains(record.tag)) result.push_back(record);
  std::sort(result.begin(), result.end(), [](const auto& a, const auto& b) { return a.serial < b.serial; });
  return result;
}

void Ledger::set_budget(std::int64_t bytes) {
  if (bytes < 0) fail<ArgumentError>("ledger", "the budget must be 0 (none) or more bytes, got {}", bytes);
  const std::lock_guard lock(state_->mutex);
  state_->budget = bytes;
}

std::int64_t Ledger::budget() const {
  const std::lock_guard lock(state_->mutex);
  return state_->budget;
}

std::uint64_t Ledger::add(AllocationRecord record) {
  const std::lock_guard lock(state_->mutex);
  record.serial = ++state_->last_serial;
  state_->records.emplace(record.serial, record);
  state_->change(record, true);
  return record.serial;
}

void Ledger::remove(std::uint64_t serial) {
  const std::lock_guard lock(state_->mutex);
  const auto found = state_->records.find(serial);
  state_->change(found->second, false);
  state_->records.erase(found);
}

void Ledger::set_tag(std::uint64_t serial, Tag tag) {
  const std::lock_guard lock(state_->mutex);
  AllocationRecord& record = state_->records.at(serial);
  state_->change(record, false, /*moved=*/true);
  record.tag = tag;
  state_->change(record, true, /*moved=*/true);
}

void Ledger::set_op(std::uint64_t serial, std::string_view op) {
  const std::lock_guard lock(state_->mutex);
  state_->records.at(serial).op = op;
  for (Counter* counter : state_->counters) counter->on_named(serial, op);
}

void Ledger::add_cached(std::int64_t bytes) {
  const std::lock_guard lock(state_->mutex);
  state_->cached += bytes;
}

Ledger& ledger(Device device) { return allocator(device).ledger(); }

Counter::Counter(TagSet tags, bool remember, Device device)
    : ledger_(ledger(device)), tags_(tags), remember_(remember) {
  const std::lock_guard lock(ledger_.state_->mutex);
  live_ = peak_ = Ledger::State::sum(ledger_.state_->live, tags_);
  if (remember_)
    for (const auto& [serial, record] : ledger_.state_->records)
      if (tags_.contains(record.tag)) {
        event_of_[serial] = events_.size();
        events_.push_back({record, true, 0});
      }
  events_at_peak_ = events_.size();
  ledger_.state_->counters.push_back(this);
}

Counter::~Counter() {
  const std::lock_guard lock(ledger_.state_->mutex);
  std::erase(ledger_.state_->counters, this);
}

void Counter::on_change(const AllocationRecord& record, bool alive, bool moved) {
  if (!tags_.contains(record.tag)) return;
  live_ += alive ? record.bytes : -record.bytes;
  if (alive && !moved) total_ += record.bytes;
  if (remember_) {
    if (alive)
      event_of_[record.serial] = events_.size();
    else
      event_of_.erase(record.serial);
    events_.push_back({record, alive, seconds()});
  }
  if (live_ > peak_) {
    peak_ = live_;
    events_at_peak_ = events_.size();
  }
}

/// An operation is often named once its result is there.
void Counter::on_named(std::uint64_t serial, std::string_view op) {
  const auto found = event_of_.find(serial);
  if (found != event_of_.end()) events_[found->second].record.op = op;
}

double Counter::seconds() const {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
}

std::int64_t Counter::live() const {
  const std::lock_guard lock(ledger_.state_->mutex);
  return live_;
}

std::int64_t Counter::peak() const {
  const std::lock_guard lock(ledger_.state_->mutex);
  return peak_;
}

std::int64_t Counter::total() const {
  const std::lock_guard lock(ledger_.state_->mutex);
  return total_;
}

void Counter::check_remembers() const {
  if (!remember_)
    fail<ArgumentError>("counter", "a counter that lists allocations must be made with remember = true");
}

std::vector<Counter::Event> Counter::events() const {
  check_remembers();
  const std::lock_guard lock(ledger_.state_->mutex);
  return events_;
}

Counter::Moment Counter::now() const {
  const std::lock_guard lock(ledger_.state_->mutex);
  return {.seconds = seconds(), .events = events_.size()};
}

std::vector<AllocationRecord> Counter::alive_at_peak() const {
  check_remembers();
  const std::lock_guard lock(ledger_.state_->mutex);
  std::unordered_map<std::uint64_t, AllocationRecord> alive;
  for (std::size_t e = 0; e < events_at_peak_; ++e) {
    if (events_[e].alive)
      alive[events_[e].record.serial] = events_[e].record;
    else
      alive.erase(events_[e].record.serial);
  }
  std::vector<AllocationRecord> result;
  for (const auto& [serial, record] : alive) result.push_back(record);
  std::sort(result.begin(), result.end(), [](const auto& a, const auto& b) {
    return a.bytes != b.bytes ? a.bytes > b.bytes : a.serial < b.serial;
  });
  return result;
}

}  // namespace retrace
