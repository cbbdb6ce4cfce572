#pragma once
#include "catch.h"

#include <string>

namespace retrace::test {

/// f() throws an E that reads exactly `text`.
template <class E, class F>
void check_throws(const F& f, const std::string& text) {
  CHECK_THROWS_AS(f(), E);
  CHECK_THROWS_WITH(f(), text);
}

}  // namespace retrace::test
