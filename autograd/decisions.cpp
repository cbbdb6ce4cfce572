#include <retrace/autograd/decisions.h>
#include <retrace/autograd/record.h>
#include <retrace/core/random.h>

#include <bit>
#include <functional>
#include <numeric>
#include <utility>

namespace retrace {

namespace {

/// A log in use: written by a forward, or read by a replay.
struct LogInUse {
  DecisionLog* record;
  const DecisionLog* replay;
};

thread_local detail::GuardStack<LogInUse> logs;
thread_local int counters = 0;
thread_local DecisionCounts counted;

/// The innermost replay's decision that fits; empty if there is none.
SavedTensor find_kept(DecisionLog::Key key, const Decision::Form& form, Device device) {
  SavedTensor found;
  logs.find([&](const LogInUse& log) {
    const SavedTensor* kept = log.replay == nullptr ? nullptr : log.replay->find(key);
    const bool fits = kept != nullptr && kept->tensor.defined() && kept->tensor.shape() == form.shape &&
                      kept->tensor.dtype() == form.dtype && kept->tensor.device() == device;
    if (fits) found = *kept;
    return fits;
  });
  return found;
}

/// The key of the next decision in the current scope: that of a scope inside of it, whose name no module has
/// and whose entries are counted. It is without the seed: a replay that draws other random numbers decides as
/// forward did.
DecisionLog::Key next_key() {
  const Scope scope(".decision");
  const RandomState random = current_scope().random;
  return mix(random.step, random.key);
}

bool recording() {
  return logs.find([](const LogInUse& log) { return log.record != nullptr; });
}

/// Elements with a bit that differs, in any of the rows of a mask.
std::int64_t differing_bits(const Tensor& a, const Tensor& b) {
  const std::int64_t bytes = a.shape()[-1];
  const auto x = a.values<std::uint8_t>();
  const auto y = b.values<std::uint8_t>();
  std::int64_t count = 0;
  for (std::int64_t i = 0; i < bytes; ++i) {
    unsigned differs = 0;
    for (std::size_t at = static_cast<std::size_t>(i); at < x.size(); at += static_cast<std::size_t>(bytes))
      differs |= static_cast<unsigned>(x[at] ^ y[at]);
    count += std::popcount(differs);
  }
  return count;
}

std::int64_t differing(const Tensor& a, const Tensor& b) {
  if (a.dtype() == DType::u8) return differing_bits(a, b);
  const auto x = a.values<std::int32_t>();
  const auto y = b.values<std::int32_t>();
  return std::inner_product(x.begin(), x.end(), y.begin(), std::int64_t{0}, std::plus<>(),
                            [](std::int32_t u, std::int32_t v) { return std::int64_t{u != v}; });
}

}  // namespace

void DecisionLog::keep(Key key, SavedTensor decision) {
  const auto [place, is_new] = kept_.try_emplace(key, std::move(decision));
  if (!is_new) place->second = {};
}

const SavedTensor* DecisionLog::find(Key key) const {
  const auto found = kept_.find(key);
  return found == kept_.end() ? nullptr : &found->second;
}

std::vector<SavedTensor> DecisionLog::saved() const {
  std::vector<SavedTensor> all;
  for (const auto& [key, decision] : kept_)
    if (decision.tensor.defined()) all.push_back(decision);
  return all;
}

RecordDecisions::RecordDecisions(DecisionLog& log) : guard_(logs.push({.record = &log, .replay = nullptr})) {}

ReplayDecisions::ReplayDecisions(const DecisionLog& log)
    : guard_(logs.push({.record = nullptr, .replay = &log})) {}

DecisionCounter::DecisionCounter() : before_(counted) { ++counters; }

DecisionCounter::~DecisionCounter() { --counters; }

DecisionCounts DecisionCounter::counts() const {
  return {.compared = counted.compared - before_.compared, .flipped = counted.flipped - before_.flipped};
}

Decision::Decision(std::string_view op, bool needed, const Form& form, Device device)
    : op_(op), needed_(needed), elements_(form.elements) {
  if (logs.top() != nullptr) {
    key_ = next_key();
    needed_ = needed_ || recording();
    kept_ = find_kept(key_, form, device);
  }
  const bool compares = kept_.tensor.defined() && counters > 0;
  if (needed_ && (!kept_.tensor.defined() || compares))
    computed_ = Tensor(form.shape, form.dtype, Tag::saved, device);
}

Tensor Decision::settled() {
  Tensor settled = computed_;
  if (kept_.tensor.defined() && needed_) {
    detail::check_contents(op_, {kept_});
    if (computed_.defined()) {
      counted.compared += elements_;
      counted.flipped += differing(on_cpu(kept_.tensor), on_cpu(computed_));
    }
    settled = kept_.tensor;
    computed_ = Tensor();
  }
  if (settled.defined())
    logs.find([&](const LogInUse& log) {
      if (log.record != nullptr) log.record->keep(key_, detail::note_contents(op_, {settled}).front());
      return false;
    });
  return settled;
}

}  // namespace retrace
