#pragma once
#include <retrace/core/tensor.h>

#include <cstdint>
#include <string_view>
#include <vector>

namespace retrace {

/// Which inputs of a node want a gradient.
class Wants {
 public:
  /// One answer for each input of the node.
  explicit Wants(std::vector<bool> wanted) : wanted_(std::move(wanted)) {}
  /// All of them want one.
  static Wants all(std::size_t inputs) { return Wants(std::vector<bool>(inputs, true)); }
  /// Whether that input wants one.
  bool operator[](std::size_t input) const { return wanted_[input]; }
  std::size_t size() const { return wanted_.size(); }  ///< the number of inputs

 private:
  std::vector<bool> wanted_;
};

/// How the tape walks.
struct BackwardPass {
  Wants wants;          ///< which inputs want a gradient
  bool retain = false;  ///< the node stays on the tape and may run again
  /// For each input its gradient from nodes that ran before, undefined where there is none. An offer: a hook
  /// that can add to it while it writes its own takes it (leaves it undefined) and returns the sum. Else the
  /// tape adds, in a pass over memory of its own.
  Tensors& arrived;
};

/// A tensor kept for the way back, and the content it had then.
struct SavedTensor {
  Tensor tensor;              ///< may be undefined
  std::uint64_t content = 0;  ///< its storage's content number when it was saved
};

/// What the tape calls on its way back: the vector-Jacobian product of one recorded step.
class TapeHook {
 public:
  TapeHook() = default;
  TapeHook(const TapeHook&) = delete;
  TapeHook& operator=(const TapeHook&) = delete;
  virtual ~TapeHook() = default;

  /// `conv2d`, `InvertibleModuleWrapper`: a string literal.
  virtual std::string_view name() const = 0;
  /// dy: one gradient for each output, undefined where none arrived. Returns one for each input; it may be
  /// undefined where `pass.wants` does not ask for it or where it is zero. Gradients of parameters inside a
  /// hook (not among the node's inputs) go straight into Parameter::accumulate_grad.
  virtual Tensors backward(Tensors dy, const BackwardPass& pass) = 0;
  /// The tensors that this hook keeps.
  virtual std::vector<SavedTensor> saved() const { return {}; }
  /// True for a hook that released storage: it runs even when no gradient reaches it, because an earlier node
  /// may wait for the bytes.
  virtual bool must_run() const { return false; }
  /// Backward failed before this hook ran; `why` names where.
  virtual void abandon(std::string_view why) { static_cast<void>(why); }

  /// Bytes of the tensors that this hook keeps and that are not released.
  std::int64_t saved_bytes() const;
};

}  // namespace retrace
