#pragma once
#include <retrace/autograd/parameter.h>
#include <retrace/core/tensor.h>

#include <cstdint>
#include <iosfwd>
#include <memory>
#include <string>
#include <vector>

namespace retrace {

/// Which value of which tape: tapes are numbered through the whole run, values from 0 within one tape.
struct Place {
  std::uint64_t tape = 0;   ///< 0: nowhere
  std::int64_t value = -1;  ///< its number; -1: nowhere
};

/// A tensor and its place on a tape. A constant has no place; a Parameter is a leaf whose gradient the tape
/// adds to Parameter::grad.
class Var {
 public:
  Var() = default;
  /// A constant.
  Var(Tensor constant) : value_(std::move(constant)) {}  // NOLINT: implicit by intent
  /// A leaf, unless the parameter is frozen or undefined.
  Var(Parameter& parameter)  // NOLINT: implicit by intent
      : value_(parameter.value()),
        parameter_(parameter.defined() && parameter.requires_grad() ? parameter.state() : nullptr) {}
  /// For the tape.
  Var(Tensor value, Place place) : value_(std::move(value)), place_(place) {}

  bool defined() const { return value_.defined(); }      ///< whether there is a tensor
  const Tensor& value() const { return value_; }         ///< the numbers
  const Shape& shape() const { return value_.shape(); }  ///< of the tensor
  DType dtype() const { return value_.dtype(); }         ///< of the tensor
  Device device() const { return value_.device(); }      ///< of the tensor
  std::int64_t numel() const { return value_.numel(); }  ///< the tensor's number of elements
  double item() const { return value_.item(); }          ///< the tensor's one element (see Tensor::item)

  /// Whether no gradient flows into it.
  bool constant() const { return parameter_ == nullptr && place_.tape == 0; }
  /// What it shares with the parameter that it stands for, or null.
  const std::shared_ptr<detail::ParameterState>& parameter() const { return parameter_; }
  Place place() const { return place_; }  ///< where it is

 private:
  Tensor value_;
  std::shared_ptr<detail::ParameterState> parameter_;
  Place place_{};
};

/// Several variables: inputs, outputs, streams.
using Vars = std::vector<Var>;

/// Writes to_string(x).
std::ostream& operator<<(std::ostream& out, const Var& x);
/// The tensor as it is printed; of a variable that is no constant followed by `parameter` or `on a tape`:
/// `tensor([1, 2], f32), on a tape`.
std::string to_string(const Var& x);

}  // namespace retrace
