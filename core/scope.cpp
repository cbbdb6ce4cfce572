#include <retrace/core/fail.h>
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

/// A scope that was entered or re-entered.
struct Frame {
  ScopeSnapshot now{};  // as it is now
  bool reentered = false;
  Order order = Order::same;  // in which it runs what its forward ran
  bool ambiguous = false;     // in it or around it a name was entered for the second time, in another order
};

detail::GuardStack<Frame>& frames() {
  thread_local detail::GuardStack<Frame> stack;
  return stack;
}

Frame& root() {
  thread_local Frame frame;
  return frame;
}

Frame& current_frame() {
  Frame* top = frames().top();
  return top != nullptr ? *top : root();
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

Frame entered(std::string_view name) {
  const ScopeState outer = current_scope();
  Frame& frame = current_frame();
  const ScopeNode* node = interner().child(outer.node, name);
  const std::uint64_t count = count_entry(frame.now, node);
  RandomState random = outer.random;
  random.key = mix(mix(random.key, hash_of(name)), count);
  const bool again = frame.order == Order::other && count > 0;
  return {.now = {.state = {.node = node, .random = random}}, .ambiguous = frame.ambiguous || again};
}

void restart(Frame& frame) {
  frame.now.draws = 0;
  frame.now.entered.clear();
}

thread_local detail::GuardStack<std::string_view> running_ops;

}  // namespace

std::string path_of(const ScopeNode* node) {
  if (node == nullptr) return "";
  std::string above = path_of(node->parent);
  return above.empty() ? node->name : above + "." + node->name;
}

ScopeState current_scope() {
  ScopeState state = current_frame().now.state;
  if (frames().top() == nullptr) {
    const GeneratorState generator = generator_state();
    state.random = {.seed = generator.seed, .step = generator.step};
  }
  return state;
}

Scope::Scope(std::string_view name) : guard_(frames().push(entered(name))) {}

ScopeSnapshot scope_snapshot() {
  ScopeSnapshot snapshot = current_frame().now;
  snapshot.state = current_scope();
  return snapshot;
}

Reenter::Reenter(const ScopeState& state)
    : guard_(frames().push({.now = {.state = state}, .reentered = true})) {}

Reenter::Reenter(const ScopeSnapshot& snapshot, Order order)
    : guard_(frames().push({.now = snapshot, .reentered = true, .order = order})) {}

std::string_view current_op() {
  const std::string_view* op = running_ops.top();
  return op != nullptr ? *op : std::string_view();
}

OpName::OpName(std::string_view op) : guard_(running_ops.push(op)) {}

std::uint64_t detail::next_draw() {
  Frame& frame = current_frame();
  if (frame.ambiguous || (frame.order == Order::other && frame.now.draws > 0))
    fail<GradientError>(
        "random",
        "while an inverse is replayed, random numbers must be drawn once under each name, but "
        "'{}' draws twice; use a clone of the module, or a Scope of its own for each use",
        path_of(frame.now.state.node));
  return frame.now.draws++;
}

void detail::restart_root_scope() { restart(root()); }

bool detail::restart_scopes(std::uint64_t seed, std::uint64_t step) {
  const bool inside = frames().find([&](Frame& frame) {
    restart(frame);
    frame.now.state.random.seed = seed;
    frame.now.state.random.step = step;
    return frame.reentered;
  });
  if (!inside) restart(root());
  return !inside;
}

}  // namespace retrace
