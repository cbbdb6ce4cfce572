#pragma once
// Internal: not installed.
#include <retrace/core/dtype.h>

namespace retrace::detail {

/// The distance from 1 to the next number of a floating-point type.
inline double epsilon_of(DType dtype) {
  switch (dtype) {
    case DType::bf16:
      return 0x1p-7;
    case DType::f16:
      return 0x1p-10;
    case DType::f64:
      return 0x1p-52;
    default:
      return 0x1p-23;
  }
}

}  // namespace retrace::detail
