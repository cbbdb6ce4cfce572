#include <retrace/core/dtype.h>
#include <retrace/core/error.h>

#include <algorithm>
#include <sstream>
#include <string>

#include "../support/catch.h"
#include "../support/throws.h"

using namespace retrace;
using test::check_throws;

TEST_CASE("element types have names and sizes", "[dtype]") {
  struct Row {
    DType dtype;
    const char* name;
    std::size_t size;
    bool is_float;
  };
  for (const Row& row :
       {Row{DType::f32, "f32", 4, true}, Row{DType::f64, "f64", 8, true}, Row{DType::bf16, "bf16", 2, true},
        Row{DType::f16, "f16", 2, true}, Row{DType::u8, "u8", 1, false}, Row{DType::i32, "i32", 4, false},
        Row{DType::i64, "i64", 8, false}}) {
    CHECK(name_of(row.dtype) == row.name);
    CHECK(dtype_from_name(row.name) == row.dtype);
    CHECK(size_of(row.dtype) == row.size);
    CHECK(is_float(row.dtype) == row.is_float);
    visit(row.dtype, [&]<class T>(TypeTag<T>) { CHECK(dtype_of<T>() == row.dtype); });
  }
  check_throws<ArgumentError>([] { return dtype_from_name("f8"); },
                              "[dtype] the name must be one of f32, f64, bf16, f16, u8, i32, i64, got 'f8'");
}

TEST_CASE("element types print their names", "[dtype]") {
  std::ostringstream out;
  out << DType::bf16;
  CHECK(out.str() == "bf16");
}

TEST_CASE("visit_float takes floating-point types alone", "[dtype]") {
  const auto size = []<class T>(TypeTag<T>) { return sizeof(T); };
  CHECK(visit_float("add", DType::f32, size) == 4);
  CHECK(visit_float("add", DType::f64, size) == 8);
  for (const DType dtype : {DType::i64, DType::bf16, DType::f16})
    check_throws<DTypeError>([&] { return visit_float("add", dtype, size); },
                             "[add] x must be f32 or f64, got " + std::string(name_of(dtype)));
}

TEST_CASE("visit_any_float takes bf16 and f16, too", "[dtype]") {
  const auto size = []<class T>(TypeTag<T>) { return sizeof(T); };
  CHECK(visit_any_float("add", DType::bf16, size) == 2);
  CHECK(visit_any_float("add", DType::f16, size) == 2);
  CHECK(visit_any_float("add", DType::f32, size) == 4);
  CHECK(visit_any_float("add", DType::f64, size) == 8);
  check_throws<DTypeError>([&] { return visit_any_float("add", DType::i64, size); },
                           "[add] x must be f32, f64, bf16 or f16, got i64");
}

TEST_CASE("the wider of two types holds both's numbers", "[dtype]") {
  for (const DType reduced : {DType::bf16, DType::f16}) {
    const DType ordered[] = {reduced, DType::f32, DType::f64};
    for (int a = 0; a < 3; ++a)
      for (int b = 0; b < 3; ++b) CHECK(wider(ordered[a], ordered[b]) == ordered[std::max(a, b)]);
  }
  CHECK(wider(DType::bf16, DType::f16) == DType::f32);
}
