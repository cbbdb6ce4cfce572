// Cases with known ends, hidden so that each is run by support_test.py alone.
#include "../support/catch.h"
#include "../support/skip.h"

using retrace::test::skip_unless;

TEST_CASE("passes", "[.pass]") { CHECK(1 + 1 == 2); }

TEST_CASE("fails", "[.fail]") { CHECK(1 + 1 == 3); }

TEST_CASE("throws", "[.throw]") { throw 1; }

TEST_CASE("skips", "[.skip]") {
  if (skip_unless(false, "needs a unicorn")) return;
  FAIL("a skipped case went on");
}

TEST_CASE("does not skip", "[.stay]") {
  if (skip_unless(true, "needs nothing")) return;
  CHECK(1 + 1 == 2);
}

TEST_CASE("fails, then skips", "[.mixed]") {
  CHECK(1 + 1 == 3);
  if (skip_unless(false, "needs a unicorn")) return;
  FAIL("a skipped case went on");
}

TEST_CASE("fails as often as the exit status of a skip", "[.often]") {
  for (int i = 0; i < 77; ++i) CHECK(i == -1);
}
