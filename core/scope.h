#pragma once
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
/// replayed.
class Scope {
 public:
  /// Enters; the destructor leaves.
  explicit Scope(std::string_view name);
  ~Scope();
  Scope(const Scope&) = delete;
  Scope& operator=(const Scope&) = delete;
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

/// Goes back to a scope as it was: same path, same random numbers.
class Reenter {
 public:
  /// As a scope was when it was entered.
  explicit Reenter(const ScopeState& state);
  /// As a scope was when the snapshot was taken.
  explicit Reenter(const ScopeSnapshot& snapshot);
  ~Reenter();
  Reenter(const Reenter&) = delete;
  Reenter& operator=(const Reenter&) = delete;
};

/// The name of the operation that runs, for the ledger; a string literal or another text that outlives the
/// program.
std::string_view current_op();

/// Sets the name of the operation that runs on this thread.
class OpName {
 public:
  /// `op` outlives the program: a string literal. The destructor sets the one before again.
  explicit OpName(std::string_view op);
  ~OpName();
  OpName(const OpName&) = delete;
  OpName& operator=(const OpName&) = delete;

 private:
  std::string_view previous_;
};

namespace detail {
/// The count of random streams drawn in the current scope, before this call.
std::uint64_t next_draw();
/// Forgets the root scope's call counts: a new step begins.
void restart_root_scope();
}  // namespace detail

}  // namespace retrace
