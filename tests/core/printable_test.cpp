#include <retrace/core/fail.h>
#include <retrace/core/printable.h>

#include <string>

#include "../support/catch.h"

using namespace retrace;

TEST_CASE("text that a terminal may print stays as it is", "[printable]") {
  for (const std::string text : {"", "conv1.weight", "a\\n'\"", "\u00e9\u4e2d\U0001f600"})
    CHECK(printable(text) == text);
}

TEST_CASE("control characters are shown, not sent", "[printable]") {
  CHECK(printable("a\nb\tc\r") == R"(a\nb\tc\x0d)");
  CHECK(printable("\x1b[2J\x7f") == R"(\x1b[2J\x7f)");
  CHECK(printable(std::string(1, '\0')) == R"(\x00)");
  CHECK(printable("\u009b31m") == R"(\u009b31m)");  // a control sequence in one character
  CHECK(printable("\u202egpj.exe\u2066\u2028\ufeff") ==
        R"(\u202egpj.exe\u2066\u2028\ufeff)");  // reversed names
}

TEST_CASE("bytes that are not UTF-8 are shown one by one", "[printable]") {
  CHECK(printable("\xff") == R"(\xff)");
  CHECK(printable("\xc3") == R"(\xc3)");          // cut off
  CHECK(printable("\xc0\x8a") == R"(\xc0\x8a)");  // overlong: a newline in two bytes
  CHECK(printable("\xe0\x80\x8a") == R"(\xe0\x80\x8a)");
  CHECK(printable("\xed\xa0\x80") == R"(\xed\xa0\x80)");          // a surrogate
  CHECK(printable("\xf4\x90\x80\x80") == R"(\xf4\x90\x80\x80)");  // beyond U+10FFFF
}

TEST_CASE("what is printable already stays", "[printable]") {
  const std::string once = printable("\x1b\n\xff");
  CHECK(printable(once) == once);
}

TEST_CASE("every error is printable", "[printable]") {
  const std::string name = "w\n\x1b[31m";
  CHECK_THROWS_WITH(fail<ArgumentError>("op", "a name must be known, got '{}'", name),
                    R"([op] a name must be known, got 'w\n\x1b[31m')");
}
