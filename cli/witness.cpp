#include <retrace/cli/witness.h>
#include <retrace/core/allocator.h>
#include <retrace/core/memory.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <span>
#include <sstream>

namespace retrace::cli {

namespace {

using SavedSpan = std::span<const SavedTensor>;

bool counts(const SavedTensor& saved) {
  return saved.tensor.defined() && kStepTags.contains(saved.tensor.storage().tag());
}

/// Of what is there, each storage once.
std::int64_t held_bytes(SavedSpan saved) {
  std::set<const Storage*> seen;
  std::int64_t bytes = 0;
  for (const SavedTensor& s : saved)
    if (counts(s) && !s.tensor.storage().released() && seen.insert(&s.tensor.storage()).second)
      bytes += block_bytes(s.tensor.storage().bytes());
  return bytes;
}

std::vector<double> numbers_of(const Tensor& x) {
  if (!x.defined() || x.storage().released() || !is_float(x.dtype())) return {};
  return x.to_vector<double>();
}

void describe(Moment& moment, const SavedTensor& saved) {
  std::ostringstream text;
  text << name_of(saved.tensor.dtype()) << to_string(saved.tensor.shape());
  moment.tensors.push_back(text.str());
  moment.bytes += block_bytes(saved.tensor.storage().bytes());
}

std::string place_of(const TapeEvent& event) { return path_of(event.scope) + " " + std::string(event.op); }

}  // namespace

double largest_difference(const std::vector<double>& a, const std::vector<double>& b) {
  double largest = 0;
  for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i)
    largest = std::max(largest, std::abs(a[i] - b[i]));
  return largest;
}

Moment& Witness::add(Moment::Kind kind, const TapeEvent& event) {
  moments_.push_back({.kind = kind,
                      .depth = event.depth,
                      .node = 0,
                      .op = event.op,
                      .where = path_of(event.scope),
                      .tensors = {},
                      .bytes = 0,
                      .held = 0,
                      .alive = event.live_bytes,
                      .error = {}});
  return moments_.back();
}

void Witness::on(const TapeEvent& event) {
  if (event.hook == nullptr) return;  // a backward as a whole
  if (event.depth == 0)
    on_step(event);
  else
    on_replay(event);
}

void Witness::on_step(const TapeEvent& event) {
  if (event.kind == TapeEvent::Kind::recorded) tape_ = Tape::current();
  const std::vector<SavedTensor> saved = tape_->saved();
  const std::size_t node = tape_->size() - 1;
  if (event.kind == TapeEvent::Kind::recorded) {
    note_releases(saved);
    const std::size_t first = nodes_.empty() ? 0 : nodes_.back().first + nodes_.back().numbers.size();
    nodes_.push_back({.first = first, .numbers = {}, .released = {}});
    Moment& moment = add(Moment::Kind::recorded, event);
    moment.node = node;
    for (const SavedTensor& s : SavedSpan(saved).subspan(first)) {
      nodes_.back().numbers.push_back(numbers_of(s.tensor));
      nodes_.back().released.push_back(false);
      if (counts(s)) describe(moment, s);
    }
    moment.held = held_bytes(saved);
    kept_[place_of(event)] = nodes_.back().numbers;
  } else if (event.kind == TapeEvent::Kind::running) {
    if (forward_moments_ == 0) {
      note_releases(saved);
      forward_moments_ = moments_.size();
    }
    add(Moment::Kind::begun, event).node = node;
  } else {
    if (moments_.back().kind == Moment::Kind::begun) moments_.pop_back();  // nothing happened inside
    note_restored(saved, event);
    Moment& moment = add(Moment::Kind::done, event);
    moment.node = node;
    moment.held = held_bytes(SavedSpan(saved).first(nodes_[node].first));
  }
}

/// A hook releases right after its node was recorded, and the tape is told of it no more: this is called
/// before anything else happens to the tape.
void Witness::note_releases(const std::vector<SavedTensor>& saved) {
  if (nodes_.empty()) return;
  Node& node = nodes_.back();
  Moment moment = moments_.back();
  moment.kind = Moment::Kind::released;
  moment.tensors.clear();
  moment.bytes = 0;
  for (std::size_t i = 0; i < node.numbers.size(); ++i) {
    const SavedTensor& s = saved[node.first + i];
    if (!counts(s) || !s.tensor.storage().released()) continue;
    node.released[i] = true;
    describe(moment, s);
  }
  if (moment.tensors.empty()) return;
  moment.held = held_bytes(SavedSpan(saved).first(node.first + node.numbers.size()));
  moment.alive -= moment.bytes;
  moments_.push_back(std::move(moment));
}

void Witness::note_restored(const std::vector<SavedTensor>& saved, const TapeEvent& event) {
  const Node& node = nodes_[tape_->size() - 1];
  for (std::size_t i = 0; i < node.numbers.size(); ++i) {
    const SavedTensor& s = saved[node.first + i];
    if (!node.released[i] || s.tensor.storage().released()) continue;
    Moment& moment = add(Moment::Kind::restored, event);
    describe(moment, s);
    moment.error = largest_difference(s.tensor.to_vector<double>(), node.numbers[i]);
  }
}

const Witness::Numbers* Witness::kept_at(const std::string& place) const {
  const auto found = kept_.find(place);
  return found == kept_.end() ? nullptr : &found->second;
}

void Witness::on_replay(const TapeEvent& event) {
  if (event.kind == TapeEvent::Kind::running) return;
  if (event.kind == TapeEvent::Kind::done) {
    if (moments_.back().kind != Moment::Kind::replayed) add(Moment::Kind::replayed, event);
    ++moments_.back().node;
    moments_.back().alive = event.live_bytes;
    return;
  }
  const Tape& tape = *Tape::current();
  const std::vector<SavedTensor> saved = tape.saved();
  std::size_t& before = in_replay_[event.depth];
  if (tape.size() == 1) before = 0;
  Moment& moment = add(Moment::Kind::recorded, event);
  moment.node = tape.size() - 1;
  moment.held = held_bytes(saved);
  const Numbers* stored = stored_ == nullptr ? nullptr : stored_->kept_at(place_of(event));
  for (std::size_t i = before; i < saved.size(); ++i) {
    if (!counts(saved[i])) continue;
    describe(moment, saved[i]);
    if (stored == nullptr) continue;
    moment.error = std::max(moment.error.value_or(0),
                            largest_difference(numbers_of(saved[i].tensor), (*stored)[i - before]));
  }
  before = saved.size();
}

}  // namespace retrace::cli
