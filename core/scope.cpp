#include <retrace/core/random.h>
#include <retrace/core/scope.h>

#include <algorithm>
#include <deque>
#include <map>
#include <mutex>
#include <utility>
#include <vector>

namespace retrace {

namespace {

/// Every path that was ever entered, each once.
class Interner {
 public:
  const ScopeNode* child(const ScopeNode* parent, std::string_view name) {
    const std::lock_guard lock(mutex_);
    const auto found = index_.find(std::pair(parent, name));
    if (found != index_.end()) return found->second;
    const ScopeNode& node = nodes_.emplace_back(ScopeNode{parent, std::string(name)});
    index_.emplace(std::pair(parent, std::string_view(node.name)), &node);
    return &node;
  }

 private:
  std::mutex mutex_;
  std::deque<ScopeNode> nodes_;
  std::map<std::pair<const ScopeNode*, std::string_view>, const ScopeNode*> index_;
};

Interner& interner() {
  static Interner& instance = *new Interner;  // never destroyed: paths outlive every static object
  return instance;
}

std::vector<ScopeSnapshot>& frames() {
  thread_local std::vector<ScopeSnapshot> stack(1);
  return stack;
}

/// Counts one more entry of `child` and returns how many there were before.
std::uint64_t count_entry(ScopeSnapshot& frame, const ScopeNode* child) {
  const auto found = std::find_if(frame.entered.begin(), frame.entered.end(),
                                  [&](const auto& entry) { return entry.first == child; });
  if (found != frame.entered.end()) return found->second++;
  frame.entered.emplace_back(child, 1);
  return 0;
}

std::uint64_t hash_of(std::string_view text) {
  std::uint64_t hash = 0xCBF29CE484222325;  // FNV-1a
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3;
  return hash;
}

thread_local std::string_view running_op;

}  // namespace

std::string path_of(const ScopeNode* node) {
  if (node == nullptr) return "";
  std::string above = path_of(node->parent);
  return above.empty() ? node->name : above + "." + node->name;
}

ScopeState current_scope() {
  ScopeState state = frames().back().state;
  if (frames().size() == 1) state.random.step = generator_state().step;
  return state;
}

Scope::Scope(std::string_view name) {
  const ScopeState outer = current_scope();
  const ScopeNode* node = interner().child(outer.node, name);
  const std::uint64_t count = count_entry(frames().back(), node);
  const std::uint64_t key = mix(mix(outer.random.key, hash_of(name)), count);
  frames().push_back({.state = {.node = node, .random = {.step = outer.random.step, .key = key}},
                      .draws = 0,
                      .entered = {}});
}

Scope::~Scope() { frames().pop_back(); }

ScopeSnapshot scope_snapshot() {
  ScopeSnapshot snapshot = frames().back();
  snapshot.state = current_scope();
  return snapshot;
}

Reenter::Reenter(const ScopeState& state) { frames().push_back({.state = state, .draws = 0, .entered = {}}); }

Reenter::Reenter(const ScopeSnapshot& snapshot) { frames().push_back(snapshot); }

Reenter::~Reenter() { frames().pop_back(); }

std::string_view current_op() { return running_op; }

OpName::OpName(std::string_view op) : previous_(std::exchange(running_op, op)) {}

OpName::~OpName() { running_op = previous_; }

std::uint64_t detail::next_draw() { return frames().back().draws++; }

void detail::restart_root_scope() {
  frames().front().draws = 0;
  frames().front().entered.clear();
}

}  // namespace retrace
