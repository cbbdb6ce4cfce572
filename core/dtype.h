#pragma once
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <type_traits>
#include <utility>

namespace retrace {

/// The element types of tensors: floating-point numbers to compute with, integers for labels, indices and bit
/// masks.
enum class DType : std::uint8_t { f32, f64, u8, i32, i64 };

/// `f32`, `f64`, `u8`, `i32` or `i64`.
std::string_view name_of(DType dtype);
/// The element type with that name. Throws ArgumentError with the list of known ones.
DType dtype_from_name(std::string_view name);
/// Bytes an element.
std::size_t size_of(DType dtype);
constexpr bool is_float(DType dtype) { return dtype == DType::f32 || dtype == DType::f64; }

template <class T>
struct TypeTag {
  using type = T;
};

template <class T>
inline constexpr bool kNoSuchDType = false;

/// The DType of a C++ type.
template <class T>
constexpr DType dtype_of() {
  if constexpr (std::is_same_v<T, float>)
    return DType::f32;
  else if constexpr (std::is_same_v<T, double>)
    return DType::f64;
  else if constexpr (std::is_same_v<T, std::uint8_t>)
    return DType::u8;
  else if constexpr (std::is_same_v<T, std::int32_t>)
    return DType::i32;
  else if constexpr (std::is_same_v<T, std::int64_t>)
    return DType::i64;
  else
    static_assert(kNoSuchDType<T>, "tensors hold float, double, uint8_t, int32_t or int64_t");
}

/// Throws the DTypeError of an operation that takes floating-point tensors alone.
[[noreturn]] void fail_not_float(std::string_view op, DType dtype);

/// Calls `f(TypeTag<T>{})` with the C++ type of `dtype`: the one switch over the element types.
template <class F>
decltype(auto) visit(DType dtype, F&& f) {
  switch (dtype) {
    case DType::f64:
      return std::forward<F>(f)(TypeTag<double>{});
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

/// The same for operations on floating-point numbers; throws DTypeError for the others.
template <class F>
decltype(auto) visit_float(std::string_view op, DType dtype, F&& f) {
  if (!is_float(dtype)) fail_not_float(op, dtype);
  if (dtype == DType::f64) return std::forward<F>(f)(TypeTag<double>{});
  return std::forward<F>(f)(TypeTag<float>{});
}

}  // namespace retrace
