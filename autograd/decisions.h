#pragma once
#include <retrace/autograd/hook.h>
#include <retrace/core/guard.h>

#include <cstdint>
#include <map>
#include <string_view>
#include <utility>
#include <vector>

namespace retrace {

/// How often a replay would have decided otherwise than its forward.
struct DecisionCounts {
  std::int64_t compared = 0;  ///< decisions that were kept from forward and taken again to be compared
  std::int64_t flipped = 0;   ///< those of them that differed
};

/// The decisions of a forward that runs without a tape, kept for its replays: a mask of one bit per element
/// for ReLU, leaky ReLU and clamp, two bits for the absolute value, the indices of max pooling. A decision is
/// found again by its scope and its number within that scope, so F and G may be replayed in any order.
class DecisionLog {
 public:
  /// Names one decision: its scope and its number in there, hashed as for random numbers.
  using Key = std::uint64_t;

  /// Keeps a decision, whose bytes count as Tag::saved. Of two under one key (after a seed was set again
  /// within one forward) none is kept, because nothing tells them apart.
  void keep(Key key, SavedTensor decision);
  /// The decision under that key; null if there is none.
  const SavedTensor* find(Key key) const;
  /// All decisions.
  std::vector<SavedTensor> saved() const;

 private:
  std::map<Key, SavedTensor> kept_;
};

/// While it exists, decisions on this thread are kept in a log.
class RecordDecisions {
 public:
  explicit RecordDecisions(DecisionLog& log);  ///< must outlive this object

 private:
  detail::Guard guard_;
};

/// While it exists, derivatives recorded on this thread use the decisions of a log.
class ReplayDecisions {
 public:
  explicit ReplayDecisions(const DecisionLog& log);  ///< must outlive this object

 private:
  detail::Guard guard_;
};

/// While it exists, replays on this thread also take each kept decision again and compare.
class DecisionCounter {
 public:
  DecisionCounter();
  ~DecisionCounter();
  DecisionCounter(const DecisionCounter&) = delete;
  DecisionCounter& operator=(const DecisionCounter&) = delete;
  DecisionCounts counts() const;  ///< since this object was made

 private:
  DecisionCounts before_;
};

/// One decision that an operation takes: the operation lets its kernel write `computed()`, and saves
/// `settled()` for its derivative.
/// ```cpp
/// Decision decision("relu", needs_gradient(x), form, x.device());
/// kernel::relu(x.value(), y, decision.computed());
/// return record("relu", {x}, y, /*save=*/{decision.settled()}, derivative);
/// ```
/// The value y is computed as always, also in a replay: it is continuous where the decision changes, so that
/// it is right up to the rounding of x either way. An operation whose value jumps there computes it from
/// `settled()`.
class Decision {
 public:
  /// The tensor that holds a decision.
  struct Form {
    Shape shape;                ///< of the mask or the indices
    DType dtype = DType::u8;    ///< u8 for bits, i32 for indices
    std::int64_t elements = 0;  ///< how many decisions the tensor holds
  };

  /// `needed`: the tape will ask for a derivative. `op` is a string literal.
  Decision(std::string_view op, bool needed, const Form& form, Device device);
  /// To be written by the kernel; undefined if nobody needs it.
  Tensor& computed() { return computed_; }
  /// To be saved for the derivative: in a replay with kept decisions, forward's; undefined if not needed.
  Tensor settled();

 private:
  std::string_view op_;
  bool needed_;
  std::int64_t elements_;
  DecisionLog::Key key_{};
  SavedTensor kept_{};
  Tensor computed_;
};

}  // namespace retrace
