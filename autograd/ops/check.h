#pragma once
// Internal: checks that the operations share.
#include <retrace/autograd/var.h>
#include <retrace/core/fail.h>

#include <string_view>

namespace retrace::detail {

/// x, called `name`, must be defined. Throws ArgumentError.
inline void check_defined(std::string_view op, std::string_view name, const Tensor& x) {
  if (!x.defined()) fail<ArgumentError>(op, "{} must be defined, got an undefined tensor", name);
}
/// x, called `name`, must be defined and f32 or f64. Throws ArgumentError and DTypeError.
inline void check_float(std::string_view op, const Var& x, std::string_view name = "x") {
  check_defined(op, name, x.value());
  if (is_reduced_float(x.dtype()))
    fail<DTypeError>(op, "{} must be f32 or f64, got {}; cast it to f32, or use Autocast, which does", name,
                     x.dtype());
  if (!is_float(x.dtype())) fail<DTypeError>(op, "{} must be f32 or f64, got {}", name, x.dtype());
}
/// x, called `name`, must be defined and f32, f64, bf16 or f16. Throws ArgumentError and DTypeError.
inline void check_any_float(std::string_view op, const Var& x, std::string_view name = "x") {
  check_defined(op, name, x.value());
  if (!is_float(x.dtype())) fail<DTypeError>(op, "{} must be f32, f64, bf16 or f16, got {}", name, x.dtype());
}
/// As check_any_float, and y must be defined and of x's type.
inline void check_pair(std::string_view op, const Var& x, const Var& y) {
  check_any_float(op, x);
  check_defined(op, "y", y.value());
  if (y.dtype() != x.dtype()) fail<DTypeError>(op, "y must be {} as x is, got {}", x.dtype(), y.dtype());
}

/// An uninitialised result like x, which is checked as check_any_float does.
inline Tensor result_like(std::string_view op, const Var& x) {
  check_any_float(op, x);
  return like(x.value());
}

/// `other`, called `name`, must have x's element type. Throws DTypeError.
inline void check_same_dtype(std::string_view op, const Tensor& x, std::string_view name,
                             const Tensor& other) {
  if (other.defined() && other.dtype() != x.dtype())
    fail<DTypeError>(op, "{} must be {} as x is, got {}", name, x.dtype(), other.dtype());
}

/// `other`, called `name`, must have one element for each of `channels`. Throws ShapeError.
inline void check_per_channel(std::string_view op, std::int64_t channels, std::string_view name,
                              const Tensor& other) {
  if (other.shape() != Shape{channels})
    fail<ShapeError>(op, "{} must be [{}], one for each channel, got {}", name, channels, other.shape());
}

}  // namespace retrace::detail
