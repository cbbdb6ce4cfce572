#pragma once
#include <retrace/autograd/tape.h>

#include <algorithm>
#include <memory>
#include <type_traits>
#include <utility>

namespace retrace {

/// The tensors that an operation saved, checked to be there and unchanged when its derivative runs.
class Saved {
 public:
  /// The tensors that a node keeps.
  explicit Saved(const std::vector<SavedTensor>& tensors) : tensors_(tensors) {}
  /// The i-th of the save list.
  const Tensor& operator[](std::size_t i) const { return tensors_[i].tensor; }

 private:
  const std::vector<SavedTensor>& tensors_;
};

namespace detail {

/// Notes the content of what is saved. Undefined tensors stay undefined.
std::vector<SavedTensor> note_contents(std::string_view op, Tensors tensors);
/// Throws GradientError, naming both operations, when a saved tensor was written since.
void check_contents(std::string_view op, const std::vector<SavedTensor>& saved);

/// Tells the thread's read log, if there is one, which of the inputs are parameters or buffers.
void note_reads(const Vars& inputs);

template <class Derivative>
class RecordedOp final : public TapeHook {
 public:
  RecordedOp(std::string_view name, Tensors save, Derivative derivative)
      : name_(name), saved_(note_contents(name, std::move(save))), derivative_(derivative) {}

  std::string_view name() const override { return name_; }
  std::vector<SavedTensor> saved() const override { return saved_; }
  Tensors backward(Tensors dy, const BackwardPass& pass) override {
    check_contents(name_, saved_);
    if constexpr (std::is_invocable_v<Derivative, const Tensor&, Saved, const Wants&, Tensors&>)
      return derivative_(dy.front(), Saved(saved_), pass.wants, pass.arrived);
    else
      return derivative_(dy.front(), Saved(saved_), pass.wants);
  }

 private:
  std::string_view name_;
  std::vector<SavedTensor> saved_;
  Derivative derivative_;
};

}  // namespace detail

/// Puts one operation on the current tape: y = op(inputs), with everything that its derivative needs in
/// `save`. `derivative(dy, saved, wants)` returns a gradient for each input, undefined where it is not
/// wanted; it may take a fourth argument, BackwardPass::arrived. It may capture numbers, enums and Shape, but
/// no tensor: every byte kept for the way back stands in `save`.
template <class Derivative>
Var record(std::string_view op, const Vars& inputs, Tensor y, Tensors save, Derivative derivative) {
  static_assert(std::is_trivially_copyable_v<Derivative>,
                "a derivative captures numbers, enums and Shape; tensors belong into the save list");
  y.storage().set_op(op);
  detail::note_reads(inputs);
  if (!std::any_of(inputs.begin(), inputs.end(), needs_gradient)) return Var(std::move(y));
  auto hook = std::make_unique<detail::RecordedOp<Derivative>>(op, std::move(save), derivative);
  return Tape::current()->attach(inputs, {std::move(y)}, std::move(hook)).front();
}

/// Memory for a gradient like dy, which a kernel writes in place: dy's own where nothing else holds it.
inline Tensor reuse(const Tensor& dy) { return dy.unique() ? dy : like(dy, Tag::gradient); }

}  // namespace retrace
