#pragma once
#include <retrace/autograd/hook.h>
#include <retrace/autograd/var.h>
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

/// Sees a tape at work. Attached with Tape::observe; the local tapes of replays report to it too.
class TapeObserver {
 public:
  virtual ~TapeObserver() = default;
  virtual void on(const TapeEvent& event) = 0;  ///< called on the tape's thread, at each event
};

/// How `Tape::backward` walks.
struct BackwardOptions {
  bool retain = false;  ///< keep the tape for another backward
};

/// The record of one forward pass, in the order in which it ran. While it exists it is its thread's current
/// tape; tapes nest. backward() eats it from the back, so memory falls as it goes.
class Tape {
 public:
  Tape();
  ~Tape();
  Tape(const Tape&) = delete;
  Tape& operator=(const Tape&) = delete;

  /// A leaf whose gradient `grad` returns after backward.
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
  void observe(TapeObserver* observer) { observer_ = observer; }  ///< must outlive it; null for nobody

  /// The tape on which this thread records, or null.
  static Tape* current();
  /// Puts a node on the tape and returns its outputs as variables. `inputs` are checked to be of this tape.
  Vars attach(const Vars& inputs, Tensors outputs, std::unique_ptr<TapeHook> hook);

 private:
  friend class NoTape;
  struct Input {
    Parameter* parameter;
    std::int64_t value;  // -1: constant or parameter
  };
  struct Node {
    const ScopeState scope;
    std::vector<Input> inputs;
    std::int64_t first_output;
    std::size_t output_count;
    std::unique_ptr<TapeHook> hook;
  };
  struct Value {
    Shape shape;
    DType dtype;
    Tensor gradient;
    bool watched;
    bool eaten;
  };

  void check_usable(std::string_view op, const Var& x) const;
  Value& value_at(std::int64_t value) { return values_[static_cast<std::size_t>(value)]; }
  const Value& watched(const Var& x) const;
  Place add_value(const Tensor& x, bool watched);
  void walk(const Vars& roots, Tensors dys, bool retain);
  void start(const Vars& roots, Tensors dys);
  void run(Node& node, bool retain);
  void deliver(const Node& node, Tensors dx);
  void accumulate(std::string_view from, std::int64_t value, Tensor d);
  void forget_gradients(bool eaten);
  void abandon(const std::string& why);
  void report(TapeEvent::Kind kind, const Node* node = nullptr) const;

  std::uint64_t id_;
  Tape* outer_;
  Tape* outer_current_;
  int depth_;
  TapeObserver* observer_ = nullptr;
  std::deque<Node> nodes_;
  std::deque<Value> values_;
};

/// While it exists, nothing is recorded on this thread.
class NoTape {
 public:
  NoTape();
  ~NoTape();
  NoTape(const NoTape&) = delete;
  NoTape& operator=(const NoTape&) = delete;

 private:
  Tape* previous_;
};

/// While it exists, this thread replays a forward that has already run: modules leave their buffers alone.
class Recomputing {
 public:
  Recomputing();
  ~Recomputing();
  Recomputing(const Recomputing&) = delete;
  Recomputing& operator=(const Recomputing&) = delete;
  static bool active();  ///< whether there is one on this thread

 private:
  bool previous_;
};

/// The current tape will ask for x's gradient.
bool needs_gradient(const Var& x);

}  // namespace retrace
