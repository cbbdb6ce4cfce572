#pragma once
// Internal: not installed.
#include <retrace/core/device.h>
#include <retrace/core/dtype.h>
#include <retrace/core/error.h>
#include <retrace/core/format.h>
#include <retrace/core/printable.h>
#include <retrace/core/shape.h>

#include <string>
#include <string_view>
#include <utility>

namespace retrace::detail {
/// A formatter without options: `{}`.
struct PlainFormatter {
  template <class Context>
  constexpr auto parse(Context& context) const {
    return context.begin();
  }
};
}  // namespace retrace::detail

template <>
struct fmt::formatter<retrace::Shape> : retrace::detail::PlainFormatter {
  template <class Context>
  auto format(const retrace::Shape& shape, Context& context) const {
    return fmt::format_to(context.out(), "[{}]", fmt::join(shape.begin(), shape.end(), ","));
  }
};

template <>
struct fmt::formatter<retrace::DType> : retrace::detail::PlainFormatter {
  template <class Context>
  auto format(retrace::DType dtype, Context& context) const {
    return fmt::format_to(context.out(), "{}", retrace::name_of(dtype));
  }
};

template <>
struct fmt::formatter<retrace::Device> : retrace::detail::PlainFormatter {
  template <class Context>
  auto format(retrace::Device device, Context& context) const {
    return fmt::format_to(context.out(), "{}", retrace::to_string(device));
  }
};

namespace retrace {

/// Throws an `E` that reads `[op] text`, in one printable line: names in it may come from files.
template <class E, class... Args>
[[noreturn]] void fail(std::string_view op, fmt::format_string<Args...> text, Args&&... args) {
  throw E(printable(fmt::format("[{}] {}", op, fmt::format(text, std::forward<Args>(args)...))));
}

/// Throws an `E` that reads as that of `fail`, with a table of several lines below it.
template <class E, class... Args>
[[noreturn]] void fail_with_table(std::string_view op, const std::string& table,
                                  fmt::format_string<Args...> text, Args&&... args) {
  throw E(printable(fmt::format("[{}] {}", op, fmt::format(text, std::forward<Args>(args)...))) + "\n" +
          table);
}

}  // namespace retrace
