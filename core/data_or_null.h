#pragma once
// Internal: operands that a kernel may lack.
#include <retrace/core/tensor.h>

namespace retrace::detail {

/// The elements of x, or null where it is undefined.
template <class T>
const T* data_or_null(const Tensor& x) {
  return x.defined() ? x.data<T>() : nullptr;
}
template <class T>
T* mutable_data_or_null(Tensor& x) {
  return x.defined() ? x.mutable_data<T>() : nullptr;
}

}  // namespace retrace::detail
