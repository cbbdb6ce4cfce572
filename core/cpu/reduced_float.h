#pragma once
// Internal: how kernels compute with bf16 and f16, which are types to store numbers in: they are widened,
// computed with in f32 and rounded once when a kernel writes its result.
#include <retrace/core/tensor.h>

#include <cstdint>

namespace retrace::cpu {

/// to = value, rounded where T is a reduced float.
template <class T>
inline void put(T& to, Compute<T> value) {
  if constexpr (kIsReducedFloat<T>)
    to.assign(value);
  else
    to = value;
}

/// The elements of x (bf16 or f16) in f32, in scratch space: all of them, or those of rows [begin, end) of
/// dimension 0. Undefined where x is.
Tensor widened(const Tensor& x);
Tensor widened(const Tensor& x, std::int64_t begin, std::int64_t end);

/// Uninitialised f32 elements for a result of that shape, in scratch space.
Tensor wide_tensor(const Shape& shape);
/// Rounds what was computed: y (bf16 or f16), or the rows of y from `begin` on, becomes `wide`.
void round_into(const Tensor& wide, Tensor& y);
void round_into(const Tensor& wide, Tensor& y, std::int64_t begin);

/// Runs kernel(x, y) on f32 copies of x and y, which are bf16 or f16.
template <class Function>
void in_f32(const Tensor& x, Tensor& y, const Function& kernel) {
  Tensor wide = wide_tensor(y.shape());
  kernel(widened(x), wide);
  round_into(wide, y);
}

}  // namespace retrace::cpu
