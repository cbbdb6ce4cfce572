#pragma once
#include <retrace/core/guard.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace retrace {

/// One name on the way from the root to where the program is, `conv1` in `stage1.block2.F.conv1`.
/// Nodes are interned and never freed, so a pointer to one is a path that costs 8 bytes.
struct ScopeNode {
  const ScopeNode* parent;  ///< the name in front of it; null for the root
  std::string name;         ///< one part of the path, without dots
};

/// `stage1.block2.F.conv1`; empty for the root.
std::string path_of(const ScopeNode* node);

/// Which random numbers a scope draws.
struct RandomState {
  std::uint64_t seed = 0;  ///< the generator's seed when the forward ran
  std::uint64_t step = 0;  ///< the generator's step in which the forward ran
  std::uint64_t key = 0;   ///< the scope path with its call counts, hashed
};

/// Where the program is: for the ledger (path) and for the random numbers (state).
struct ScopeState {
  const ScopeNode* node = nullptr;  ///< the path; null for the root
  RandomState random{};             ///< what is drawn there
};

/// The scope in which this thread runs.
ScopeState current_scope();

/// Enters the scope `name` inside the current one. The n-th entry of a name counts n in the random key, so
/// two calls of a module draw different numbers, and F and G draw the same ones in whatever order they are
/// replayed. A thread runs in the scope entered last of those that have not ended, in whatever order they
/// end.
class Scope {
 public:
  /// Enters; the destructor leaves.
  explicit Scope(std::string_view name);

 private:
  detail::Guard guard_;
};

/// A scope with all that decides which random numbers are drawn next in it.
struct ScopeSnapshot {
  ScopeState state{};       ///< the scope itself
  std::uint64_t draws = 0;  ///< streams drawn so far
  std::vector<std::pair<const ScopeNode*, std::uint64_t>>
      entered{};  ///< scopes inside, and how often each was entered
};

/// The current scope as it is now.
ScopeSnapshot scope_snapshot();

/// The order in which a replay runs what its forward ran.
enum class Order : std::uint8_t {
  same,  ///< as the forward did
  other  ///< as an inverse does: a name that is entered twice cannot draw the forward's random numbers
};

/// Goes back to a scope as it was: same path, same random numbers.
class Reenter {
 public:
  /// As a scope was when it was entered.
  explicit Reenter(const ScopeState& state);
  /// As a scope was when the snapshot was taken. With Order::other, the second draw of a scope, or a draw in
  /// a scope entered for the second time, throws GradientError: nothing tells which of the forward's two it
  /// is.
  explicit Reenter(const ScopeSnapshot& snapshot, Order order = Order::same);

 private:
  detail::Guard guard_;
};

/// The name of the operation that runs, for the ledger; a string literal or another text that outlives the
/// program.
std::string_view current_op();

/// Sets the name of the operation that runs on this thread.
class OpName {
 public:
  /// `op` outlives the program: a string literal. The destructor ends it.
  explicit OpName(std::string_view op);

 private:
  detail::Guard guard_;
};

namespace detail {
/// The count of random streams drawn in the current scope, before this call. Throws as Reenter says.
std::uint64_t next_draw();
/// Clears the call counts of the root scope: a new step begins.
void restart_root_scope();
/// Clears the call counts of this thread's scopes, whose random numbers are those of `seed` and `step` from
/// now on, from the innermost outwards up to one that was re-entered. False if there is such a one: the
/// program around it keeps its own numbers.
bool restart_scopes(std::uint64_t seed, std::uint64_t step);
}  // namespace detail

}  // namespace retrace
