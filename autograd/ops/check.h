#pragma once
// Internal: checks that the operations share.
#include <retrace/autograd/var.h>
#include <retrace/core/fail.h>

#include <string_view>

namespace retrace::detail {

/// x must be f32 or f64. Throws DTypeError.
inline void check_float(std::string_view op, const Var& x) {
  if (x.defined() && x.dtype() != DType::f32 && x.dtype() != DType::f64) fail_not_float(op, x.dtype());
}
/// The type must be f32, f64, bf16 or f16. Throws DTypeError.
inline void check_any_float(std::string_view op, DType dtype) {
  if (!is_float(dtype)) fail_not_any_float(op, dtype);
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
