#include <retrace/core/error.h>
#include <retrace/core/range.h>

#include <limits>

#include "../support/catch.h"

using namespace retrace;

namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

}  // namespace

TEST_CASE("a range contains its bounds if they are included, and no NaN or infinity", "[range]") {
  constexpr RealRange part = RealRange::at_least(0).below(1);
  STATIC_REQUIRE(part.contains(0));
  STATIC_REQUIRE(part.contains(0.999));
  STATIC_REQUIRE_FALSE(part.contains(1));
  STATIC_REQUIRE_FALSE(part.contains(-1e-300));
  STATIC_REQUIRE_FALSE(part.contains(kNan));
  STATIC_REQUIRE(RealRange::above(0).contains(1e-300));
  STATIC_REQUIRE_FALSE(RealRange::above(0).contains(0));
  STATIC_REQUIRE(RealRange::above(0).at_most(1).contains(1));
  for (const RealRange range : {RealRange{}, RealRange::at_least(0), RealRange::above(0)})
    for (const double value : {kInf, -kInf, kNan}) CHECK_FALSE(range.contains(value));
  STATIC_REQUIRE(RealRange{}.contains(std::numeric_limits<double>::max()));
  STATIC_REQUIRE(IntRange::at_least(1).contains(std::numeric_limits<std::int64_t>::max()));
  STATIC_REQUIRE_FALSE(IntRange::at_least(1).contains(0));
}

TEST_CASE("a range in words", "[range]") {
  CHECK(RealRange{}.text() == "finite");
  CHECK(RealRange::at_least(0).text() == "at least 0");
  CHECK(RealRange::above(0.5).text() == "above 0.5");
  CHECK(RealRange::at_least(0).below(1).text() == "in [0,1)");
  CHECK(RealRange::above(0).at_most(1).text() == "in (0,1]");
  CHECK(IntRange::at_least(1).text() == "at least 1");
  CHECK(IntRange::at_least(1).at_most(4096).text() == "in [1,4096]");
  CHECK(SeedRange{}.text() == "in [0,18446744073709551615]");
}

TEST_CASE("a value out of range is named with what it must be", "[range]") {
  constexpr RealRange range = RealRange::at_least(0).below(1);
  range.check("sgd", "momentum", 0.9);
  CHECK(range.complaint(0.9).empty());
  CHECK_THROWS_AS(range.check("sgd", "momentum", 1), ArgumentError);
  CHECK_THROWS_WITH(range.check("sgd", "momentum", 1.5), "[sgd] momentum must be in [0,1), got 1.5");
  CHECK_THROWS_WITH(range.check("sgd", "momentum", kNan), "[sgd] momentum must be in [0,1), got nan");
  CHECK_THROWS_WITH(range.check("sgd", "momentum", -kInf), "[sgd] momentum must be finite, got -inf");
  CHECK(IntRange::at_least(1).complaint(0) == "must be at least 1, got 0");
}
