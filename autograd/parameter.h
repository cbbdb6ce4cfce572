#pragma once
#include <retrace/core/tensor.h>

#include <string>

namespace retrace {

/// A tensor that is learned, and its gradient. The tape adds gradients; an optimizer reads them.
class Parameter {
 public:
  Parameter() = default;
  /// Takes over `value`; its bytes are counted under Tag::parameter.
  explicit Parameter(Tensor value);
  /// A copy has bytes of its own and no gradient.
  Parameter(const Parameter& other);
  /// The value gets bytes of its own; the gradient is forgotten.
  Parameter& operator=(const Parameter& other);
  ~Parameter() = default;

  /// Whether there is a value: a layer without bias has an undefined one.
  bool defined() const { return value_.defined(); }
  Tensor& value() { return value_; }                     ///< the learned numbers
  const Tensor& value() const { return value_; }         ///< the learned numbers
  const Shape& shape() const { return value_.shape(); }  ///< of the value, and of its gradient

  /// False for a frozen parameter: the tape treats it as a constant.
  bool requires_grad() const { return requires_grad_; }
  /// False freezes it.
  void set_requires_grad(bool requires_grad) { requires_grad_ = requires_grad; }

  bool has_grad() const { return has_grad_; }  ///< whether a backward has reached it since zero_grad()
  /// dLoss/dvalue, undefined where none was computed. Throws GradientError after a backward that failed.
  const Tensor& grad() const;
  /// Forgets the gradient. Its bytes stay until the next one takes their place.
  void zero_grad();
  /// grad += d; the first one is taken over.
  void accumulate_grad(Tensor d);
  /// Marks the gradient as not to be trusted until zero_grad().
  void invalidate_grad(std::string why);

 private:
  Tensor value_;
  Tensor grad_;
  bool has_grad_ = false;
  std::string invalid_;
  bool requires_grad_ = true;
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
