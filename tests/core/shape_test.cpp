#include <retrace/core/shape.h>

#include <sstream>
#include <type_traits>
#include <vector>

#include "../support/catch.h"
#include "../support/throws.h"

using namespace retrace;
using test::check_throws;

static_assert(std::is_trivially_copyable_v<Shape>, "a derivative captures shapes by value");

TEST_CASE("a shape counts its elements", "[shape]") {
  const Shape shape{2, 10, 8, 8};
  CHECK(shape.rank() == 4);
  CHECK(shape.numel() == 1280);
  CHECK(shape.numel_before(1) == 2);
  CHECK(shape.numel_after(1) == 64);
  CHECK(shape.numel_before(0) == 1);
  CHECK(shape.numel_after(-1) == 1);
  CHECK(std::vector<std::int64_t>(shape.begin(), shape.end()) == std::vector<std::int64_t>{2, 10, 8, 8});
}

TEST_CASE("a scalar's shape has rank 0 and one element", "[shape]") {
  CHECK(Shape().rank() == 0);
  CHECK(Shape().numel() == 1);
  CHECK(to_string(Shape()) == "[]");
}

TEST_CASE("dimensions count from either end", "[shape]") {
  const Shape shape{2, 3, 5};
  CHECK(shape[0] == 2);
  CHECK(shape[-1] == 5);
  CHECK(shape.dimension(-3) == 0);
  check_throws<ShapeError>([&] { return shape[3]; },
                           "[shape] a dimension of [2,3,5] must be in [-3,3), got 3");
  check_throws<ShapeError>([&] { return shape[-4]; },
                           "[shape] a dimension of [2,3,5] must be in [-3,3), got -4");
  check_throws<ShapeError>([] { return Shape()[0]; }, "[shape] a dimension of [] must be in [0,0), got 0");
}

TEST_CASE("shapes differ by extents and by rank", "[shape]") {
  CHECK(Shape{2, 3} == Shape{2, 3});
  CHECK(!(Shape{2, 3} == Shape{3, 2}));
  CHECK(!(Shape{2, 3} == Shape{2, 3, 1}));
  CHECK(!(Shape{} == Shape{1}));
}

TEST_CASE("with and without make other shapes", "[shape]") {
  const Shape shape{2, 3, 5};
  CHECK(shape.with(1, 7) == Shape{2, 7, 5});
  CHECK(shape.with(-1, 1) == Shape{2, 3, 1});
  CHECK(shape.without(0) == Shape{3, 5});
  CHECK(shape.without(-1) == Shape{2, 3});
  CHECK(shape == Shape{2, 3, 5});
}

TEST_CASE("a shape prints its extents", "[shape]") {
  std::ostringstream out;
  out << Shape{2, 10, 8, 8};
  CHECK(out.str() == "[2,10,8,8]");
}

TEST_CASE("a shape refuses extents, ranks and products that no tensor has", "[shape]") {
  check_throws<ShapeError>([] { return Shape{2, 0}; }, "[shape] every extent must be at least 1, got [2,0]");
  check_throws<ShapeError>([] { return Shape{-1}; }, "[shape] every extent must be at least 1, got [-1]");
  check_throws<ShapeError>([] { return Shape{1, 1, 1, 1, 1, 1, 1, 1, 1}; },
                           "[shape] the rank must be at most 8, got 9");
  CHECK(Shape{std::int64_t{1} << 30, std::int64_t{1} << 29}.numel() == std::int64_t{1} << 59);
  check_throws<ShapeError>(
      [] {
        return Shape{std::int64_t{1} << 30, std::int64_t{1} << 29, 2};
      },
      "[shape] the product of the extents must be at most 2^59, got "
      "[1073741824,536870912,2]");
  check_throws<ShapeError>([] { return Shape{2}.with(0, 0); },
                           "[shape] every extent must be at least 1, got [0]");
}
