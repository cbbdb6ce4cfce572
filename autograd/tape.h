#pragma once
#include <retrace/autograd/hook.h>
#include <retrace/autograd/var.h>
#include <retrace/core/guard.h>
#include <retrace/core/scope.h>

#include <cstdint>
#include <deque>
#include <iosfwd>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace retrace {

/// What an observer is told.
struct TapeEvent {
  /// What has happened.
  enum class Kind : std::uint8_t {
    recorded,  ///< a node was put on the tape
    running,   ///< its derivative begins
    done,      ///< its derivative has ended; what it saved is still alive
    backward,  ///< a backward begins; it has not allocated anything
    finished   ///< it has run through
  };
  Kind kind;                ///< what has happened
  std::string_view op;      ///< to which operation: the hook's name; `backward` for the last two kinds
  const ScopeNode* scope;   ///< where in the network it was recorded; null for the last two
  const TapeHook* hook;     ///< the node's; null for the last two
  int depth;                ///< 0 for the user's tape, more for the local tapes of replays
  std::int64_t live_bytes;  ///< of kStepTags
};

/// Sees a tape at work. Attached with Tape::observe; the local tapes of replays report to it too. An observer
/// that ends before its tapes is no longer called.
class TapeObserver {
 public:
  TapeObserver() : self_(this, [](TapeObserver*) {}) {}
  /// A copy observes no tape.
  TapeObserver(const TapeObserver&) : TapeObserver() {}
  /// Goes on observing the tapes that it observed.
  TapeObserver& operator=(const TapeObserver&) { return *this; }
  virtual ~TapeObserver() = default;
  /// Called on the tape's thread, at each event. It may read the tape, but not run its backward.
  virtual void on(const TapeEvent& event) = 0;

 private:
  friend class Tape;
  std::shared_ptr<TapeObserver> self_;  // tapes hold it weakly
};

/// How `Tape::backward` walks.
struct BackwardOptions {
  bool retain = false;  ///< keep the tape for another backward
};

/// The record of one forward pass, in the order in which it ran. While it exists it is its thread's current
/// tape; tapes nest, and the current one is the one made last of those that exist, in whatever order they
/// end. backward() eats it from the back, so memory falls as it goes. A backward that throws leaves the tape
/// as it was, if it has not begun, or spent.
class Tape {
 public:
  Tape();
  ~Tape();
  Tape(const Tape&) = delete;
  Tape& operator=(const Tape&) = delete;

  /// A leaf whose gradient `grad` returns after backward. Throws ArgumentError for an undefined tensor,
  /// DTypeError unless its elements are floating-point numbers.
  Var watch(Tensor x);

  /// Gradients of the scalar y. Throws ShapeError when y has more than one element.
  void backward(const Var& y, BackwardOptions options = {});
  /// Vector-Jacobian product with dy, of y's shape.
  void backward(const Var& y, const Tensor& dy, BackwardOptions options = {});
  /// The same from several roots at once.
  void backward(const Vars& roots, Tensors dys, BackwardOptions options = {});

  /// The gradient of a watched variable, summed over the passes; undefined where none arrived.
  Tensor grad(const Var& x) const;
  /// The same, handed over: the tape forgets it.
  Tensor take_grad(const Var& x);

  void print(std::ostream& out) const;                ///< each node with what it saved, in shapes and bytes
  std::size_t size() const { return nodes_.size(); }  ///< the number of nodes
  /// Bytes that the nodes keep, each storage counted once.
  std::int64_t saved_bytes() const;
  /// What the nodes keep, in the order of recording.
  std::vector<SavedTensor> saved() const;
  /// Reports to `observer` from now on; null for nobody.
  void observe(TapeObserver* observer);

  /// The tape on which this thread records, or null.
  static Tape* current();
  /// Puts a node on the tape and returns its outputs as variables. `inputs` are checked to be of this tape.
  Vars attach(const Vars& inputs, Tensors outputs, std::unique_ptr<TapeHook> hook);

 private:
  struct Input {
    std::shared_ptr<detail::ParameterState> parameter;
    std::int64_t value;  // -1: constant or parameter
  };
  struct Node {
    const ScopeState scope;
    std::vector<Input> inputs;
    std::int64_t first_output;
    std::size_t output_count;
    std::unique_ptr<TapeHook> hook;
  };
  enum class Fate : std::uint8_t {
    usable,
    eaten,  // by a backward
    failed  // a backward failed before its gradient was whole
  };
  struct Value {
    Shape shape;
    DType dtype;
    Tensor gradient;
    bool watched;
    Fate fate;
  };

  explicit Tape(const Tape* outer);
  void check_usable(std::string_view op, const Var& x) const;
  Value& value_at(std::int64_t value) { return values_[static_cast<std::size_t>(value)]; }
  const Value& watched(const Var& x) const;
  Place add_value(const Tensor& x, bool watched);
  void begin_backward();
  void check_roots(const Vars& roots, const Tensors& dys) const;
  void walk(const Vars& roots, Tensors dys, bool retain);
  static std::string failure_in(const Node& node);
  void run(Node& node, bool retain);
  void deliver(const Node& node, Tensors dx);
  void accumulate(std::string_view from, std::int64_t value, Tensor d);
  void forget_gradients(bool eaten);
  void fail_values();
  void abandon(const std::string& why);
  void report(TapeEvent::Kind kind, const Node* node = nullptr);

  std::uint64_t id_;
  int depth_ = 0;
  std::weak_ptr<TapeObserver> observer_;
  bool busy_ = false;  // in backward, or in a call of its observer
  std::deque<Node> nodes_;
  std::deque<Value> values_;
  detail::Guard guard_;
};

/// While it exists, nothing is recorded on this thread, except on tapes made after it.
class NoTape {
 public:
  NoTape();

 private:
  detail::Guard guard_;
};

/// While it exists, this thread replays a forward that has already run: modules leave their buffers alone.
class Recomputing {
 public:
  Recomputing();
  static bool active();  ///< whether there is one on this thread

 private:
  detail::Guard guard_;
};

/// The current tape will ask for x's gradient.
bool needs_gradient(const Var& x);

}  // namespace retrace
