#pragma once
#include <retrace/core/tensor.h>

#include <memory>
#include <string>
#include <utility>

namespace retrace {

namespace detail {

/// A parameter's value and gradient. A Parameter owns one; variables and tapes share it, so that it is there
/// when backward reaches it, whatever became of the module.
class ParameterState {
 public:
  Tensor value{};             ///< the learned numbers
  bool requires_grad = true;  ///< false for a frozen parameter

  bool has_grad() const { return has_grad_; }  ///< whether a backward has reached it since zero_grad()
  const Tensor& grad() const;                  ///< see Parameter::grad
  void zero_grad();                            ///< see Parameter::zero_grad
  void invalidate_grad(std::string why);       ///< see Parameter::invalidate_grad
  void drop_grad();                            ///< zero_grad(), and frees the gradient's bytes
  /// Adds d to the gradient of `state`; the first one is taken over.
  static void accumulate_grad(const std::shared_ptr<ParameterState>& state, Tensor d);

 private:
  Tensor grad_;
  bool has_grad_ = false;
  std::string invalid_;
};

}  // namespace detail

/// A tensor that is learned, and its gradient. The tape adds gradients; an optimizer reads them.
class Parameter {
 public:
  Parameter() = default;
  /// Takes over `value`; its bytes are counted under Tag::parameter.
  explicit Parameter(Tensor value);
  /// Shares value and gradient with the parameter of that state, and keeps them when it ends.
  explicit Parameter(std::shared_ptr<detail::ParameterState> state) : state_(std::move(state)) {}
  /// A copy has bytes of its own and no gradient.
  Parameter(const Parameter& other);
  /// The value gets bytes of its own; the gradient is forgotten.
  Parameter& operator=(const Parameter& other);
  ~Parameter() = default;

  /// Whether there is a value: a layer without bias has an undefined one.
  bool defined() const { return state_->value.defined(); }
  Tensor& value() { return state_->value; }                     ///< the learned numbers
  const Tensor& value() const { return state_->value; }         ///< the learned numbers
  const Shape& shape() const { return state_->value.shape(); }  ///< of the value, and of its gradient

  /// False for a frozen parameter: the tape treats it as a constant.
  bool requires_grad() const { return state_->requires_grad; }
  /// False freezes it.
  void set_requires_grad(bool requires_grad) { state_->requires_grad = requires_grad; }

  bool has_grad() const {
    return state_->has_grad();
  }  ///< whether a backward has reached it since zero_grad()
  /// dLoss/dvalue, undefined where none was computed. Throws GradientError after a backward that failed.
  const Tensor& grad() const { return state_->grad(); }
  /// Forgets the gradient. Its bytes stay until the next one takes their place.
  void zero_grad() { state_->zero_grad(); }
  /// grad += d; the first one is taken over.
  void accumulate_grad(Tensor d) { detail::ParameterState::accumulate_grad(state_, std::move(d)); }
  /// Marks the gradient as not to be trusted until zero_grad().
  void invalidate_grad(std::string why) { state_->invalidate_grad(std::move(why)); }

  /// What variables and tapes share with this parameter.
  const std::shared_ptr<detail::ParameterState>& state() const { return state_; }

 private:
  std::shared_ptr<detail::ParameterState> state_ = std::make_shared<detail::ParameterState>();
};

namespace detail {
/// Knows which parameters got a gradient since the outermost backward began, so that its failure can void
/// them all.
class BackwardSession {
 public:
  BackwardSession();
  ~BackwardSession();
  BackwardSession(const BackwardSession&) = delete;
  BackwardSession& operator=(const BackwardSession&) = delete;
  /// Voids them, if this session is the outermost one.
  void fail(const std::string& why);
};
}  // namespace detail

}  // namespace retrace
