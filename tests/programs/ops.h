#pragma once
#include <retrace/autograd/var.h>

#include <functional>
#include <map>
#include <optional>
#include <string>

#include "program.h"

namespace retrace::fuzz {

/// Where an operation finds its inputs while a program is generated.
class Source {
 public:
  virtual ~Source() = default;
  virtual Random& random() = 0;
  /// A value whose shape `fits`, if there is one.
  virtual std::optional<Value> value(const std::function<bool(const Shape&)>& fits) = 0;
  /// A new input of the program: watched, a parameter or a constant.
  virtual Value input(const Shape& shape) = 0;
  virtual Shape shape(const Value& value) const = 0;
};

/// A public operation.
struct OpRow {
  /// Chooses inputs and numbers; false where no value fits.
  std::function<bool(Source&, Statement&)> choose;
  /// Runs it.
  std::function<Vars(const Statement&, Vars)> apply;
};

/// Indices of classes, of type i64.
Tensor labels(double seed, const Shape& shape, std::int64_t classes);
/// Every operation of autograd/ops.h, by name.
const std::map<std::string, OpRow>& op_rows();

}  // namespace retrace::fuzz
