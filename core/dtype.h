#pragma once
#include <retrace/core/reduced_float.h>

#include <cstddef>
#include <cstdint>
#include <iosfwd>
#include <string_view>
#include <type_traits>
#include <utility>

namespace retrace {

/// The element types of tensors: f32 and f64 to compute with, bf16 and f16 to keep in half of the bytes (see
/// docs/design/precision.md), integers for labels, indices and bit masks.
enum class DType : std::uint8_t {
  f32,   ///< float
  f64,   ///< double
  bf16,  ///< BFloat16
  f16,   ///< Float16
  u8,    ///< std::uint8_t: images before they are normalised, and eight bits of a mask an element
  i32,   ///< std::int32_t: the indices that max pooling keeps
  i64    ///< std::int64_t: labels
};

/// `f32`, `f64`, `bf16`, `f16`, `u8`, `i32` or `i64`.
std::string_view name_of(DType dtype);
/// Writes name_of(dtype).
std::ostream& operator<<(std::ostream& out, DType dtype);
/// The element type with that name. Throws ArgumentError with the list of known ones.
DType dtype_from_name(std::string_view name);
/// Bytes an element.
std::size_t size_of(DType dtype);
/// bf16 or f16: numbers are stored in two bytes and computed with in f32.
constexpr bool is_reduced_float(DType dtype) { return dtype == DType::bf16 || dtype == DType::f16; }
/// A type of floating-point numbers.
constexpr bool is_float(DType dtype) {
  return dtype == DType::f32 || dtype == DType::f64 || is_reduced_float(dtype);
}
/// The narrowest type that holds all numbers of both, which are floating-point: f32 for bf16 and f16.
constexpr DType wider(DType a, DType b) {
  if (a == b) return a;
  return a == DType::f64 || b == DType::f64 ? DType::f64 : DType::f32;
}

/// Carries a C++ type to the generic lambdas of `visit`.
template <class T>
struct TypeTag {
  using type = T;  ///< the type of an element
};

/// Always false: for the static_assert of `dtype_of`, which depends on T.
template <class T>
inline constexpr bool kNoSuchDType = false;

/// The DType of a C++ type.
template <class T>
constexpr DType dtype_of() {
  if constexpr (std::is_same_v<T, float>)
    return DType::f32;
  else if constexpr (std::is_same_v<T, double>)
    return DType::f64;
  else if constexpr (std::is_same_v<T, BFloat16>)
    return DType::bf16;
  else if constexpr (std::is_same_v<T, Float16>)
    return DType::f16;
  else if constexpr (std::is_same_v<T, std::uint8_t>)
    return DType::u8;
  else if constexpr (std::is_same_v<T, std::int32_t>)
    return DType::i32;
  else if constexpr (std::is_same_v<T, std::int64_t>)
    return DType::i64;
  else
    static_assert(kNoSuchDType<T>,
                  "tensors hold float, double, BFloat16, Float16, uint8_t, int32_t or int64_t");
}

/// Throws the DTypeError of an operation that takes f32 and f64 alone.
[[noreturn]] void fail_not_float(std::string_view op, DType dtype);
/// The same of one that takes bf16 and f16, too.
[[noreturn]] void fail_not_any_float(std::string_view op, DType dtype);

/// Calls `f(TypeTag<T>{})` with the C++ type of `dtype`: the one switch over the element types.
template <class F>
decltype(auto) visit(DType dtype, F&& f) {
  switch (dtype) {
    case DType::f64:
      return std::forward<F>(f)(TypeTag<double>{});
    case DType::bf16:
      return std::forward<F>(f)(TypeTag<BFloat16>{});
    case DType::f16:
      return std::forward<F>(f)(TypeTag<Float16>{});
    case DType::u8:
      return std::forward<F>(f)(TypeTag<std::uint8_t>{});
    case DType::i32:
      return std::forward<F>(f)(TypeTag<std::int32_t>{});
    case DType::i64:
      return std::forward<F>(f)(TypeTag<std::int64_t>{});
    case DType::f32:
      break;
  }
  return std::forward<F>(f)(TypeTag<float>{});
}

/// The same for operations that compute in the type of their tensors, f32 or f64; throws DTypeError for the
/// others.
template <class F>
decltype(auto) visit_float(std::string_view op, DType dtype, F&& f) {
  if (dtype == DType::f64) return std::forward<F>(f)(TypeTag<double>{});
  if (dtype != DType::f32) fail_not_float(op, dtype);
  return std::forward<F>(f)(TypeTag<float>{});
}

/// The same for bf16 and f16 alone, which `dtype` must be.
template <class F>
decltype(auto) visit_reduced_float(DType dtype, F&& f) {
  if (dtype == DType::bf16) return std::forward<F>(f)(TypeTag<BFloat16>{});
  return std::forward<F>(f)(TypeTag<Float16>{});
}

/// The same for operations that take bf16 and f16, too: they compute in float what they read and write in
/// them.
template <class F>
decltype(auto) visit_any_float(std::string_view op, DType dtype, F&& f) {
  if (!is_float(dtype)) fail_not_any_float(op, dtype);
  if (is_reduced_float(dtype)) return visit_reduced_float(dtype, std::forward<F>(f));
  return visit_float(op, dtype, std::forward<F>(f));
}

}  // namespace retrace
