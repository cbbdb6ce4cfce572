#pragma once
// For rows about what the compiler refuses or warns of.
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>

#include "../support/catch.h"
#include "../support/temporary_folder.h"

namespace retrace::test {

/// What the compiler says of this program, which has all of retrace's headers in front; empty when it is
/// content.
inline std::string complaints_of(const std::string& program, const std::string& flags = "") {
  const TemporaryFolder folder;
  const std::string source = folder / "program.cpp";
  std::ofstream(source) << "#include <retrace/retrace.h>\n" << program << "\n";
  const std::string complaints = folder / "complaints";
  const std::string command =
      RETRACE_COMPILE " -std=c++20 -fsyntax-only " + flags + " '" + source + "' > '" + complaints + "' 2>&1";
  const bool compiles = std::system(command.c_str()) == 0;
  std::ifstream file(complaints);
  const std::string text(std::istreambuf_iterator<char>(file), {});
  CHECK(compiles == text.empty());
  return text;
}

}  // namespace retrace::test
