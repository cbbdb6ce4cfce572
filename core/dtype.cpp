#include <retrace/core/dtype.h>
#include <retrace/core/fail.h>

#include <array>
#include <ostream>

namespace retrace {

namespace {
constexpr std::array kAll = {DType::f32, DType::f64, DType::bf16, DType::f16,
                             DType::u8,  DType::i32, DType::i64};
}

std::string_view name_of(DType dtype) {
  switch (dtype) {
    case DType::f32:
      return "f32";
    case DType::f64:
      return "f64";
    case DType::bf16:
      return "bf16";
    case DType::f16:
      return "f16";
    case DType::u8:
      return "u8";
    case DType::i32:
      return "i32";
    case DType::i64:
      return "i64";
  }
  return "?";
}

std::ostream& operator<<(std::ostream& out, DType dtype) { return out << name_of(dtype); }

DType dtype_from_name(std::string_view name) {
  for (const DType dtype : kAll)
    if (name_of(dtype) == name) return dtype;
  fail<ArgumentError>("dtype", "the name must be one of {}, got '{}'", fmt::join(kAll, ", "), name);
}

std::size_t size_of(DType dtype) {
  return visit(dtype, [](auto tag) { return sizeof(typename decltype(tag)::type); });
}

void fail_not_float(std::string_view op, DType dtype) {
  fail<DTypeError>(op, "x must be f32 or f64, got {}", dtype);
}

void fail_not_any_float(std::string_view op, DType dtype) {
  fail<DTypeError>(op, "x must be f32, f64, bf16 or f16, got {}", dtype);
}

}  // namespace retrace
