#pragma once
// Internal: not installed.
#include <retrace/core/fail.h>

namespace retrace {

/// `pointer`, or an ArgumentError that names the operation and its parameter.
template <class Pointer>
Pointer not_null(std::string_view op, std::string_view parameter, Pointer pointer) {
  if (pointer == nullptr) fail<ArgumentError>(op, "{} must not be null", parameter);
  return pointer;
}

/// `pointers`, or an ArgumentError that names the operation and what its parameter lists.
template <class Pointers>
Pointers none_null(std::string_view op, std::string_view items, Pointers pointers) {
  for (const auto& pointer : pointers)
    if (pointer == nullptr) fail<ArgumentError>(op, "no {} may be null", items);
  return pointers;
}

}  // namespace retrace
