#include <retrace/core/names.h>

#include "../support/catch.h"

using namespace retrace;

TEST_CASE("the nearest name", "[names]") {
  const std::vector<std::string> known = {"train", "eval", "bench", "revnet38", "revnet110"};
  CHECK(nearest_name("tran", known) == "train");
  CHECK(nearest_name("triain", known) == "train");
  CHECK(nearest_name("evil", known) == "eval");
  CHECK(nearest_name("revnet83", known) == "revnet38");
  CHECK(nearest_name("Revnet100", known) == "revnet110");
  for (const char* far : {"", "x", "conjure", "paint", "network"}) CHECK(nearest_name(far, known).empty());
  CHECK(nearest_name("train", {}).empty());
}

TEST_CASE("what is wrong with a name", "[names]") {
  CHECK(name_complaint("adm", {"sgd", "adam"}) ==
        "must be one of sgd, adam, got 'adm' (did you mean 'adam'?)");
  CHECK(name_complaint("lion", {"sgd", "adam"}) == "must be one of sgd, adam, got 'lion'");
}
