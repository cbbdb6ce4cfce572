#define CATCH_CONFIG_RUNNER
#include "run.h"

#include <filesystem>
#include <iostream>
#include <string>

#include "catch.h"
#include "skip.h"

/// AddressSanitizer, which else would stop the program, lets the system refuse memory.
extern "C" const char* __asan_default_options();
extern "C" const char* __asan_default_options() { return "allocator_may_return_null=1"; }

namespace retrace::test {

namespace {

constexpr int kExitFailed = 1;    // Catch2 returns the number of failed assertions, which can be any of these
constexpr int kExitSkipped = 77;  // as Meson and automake read it
constexpr int kExitNothingRan = 4;

#if CATCH_VERSION_MAJOR >= 3
using Listener = Catch::EventListenerBase;
#else
using Listener = Catch::TestEventListenerBase;
#endif

struct Counts {
  int run = 0;
  int skipped = 0;
  int failed = 0;
};

Counts counts;
bool started = false;  // false where the arguments ask for help or a list
std::string running;   // the name of the running case
bool skip_asked = false;

/// Counts cases, because Catch2 2.13 knows no skipped ones.
class Counter final : public Listener {
 public:
  using Listener::Listener;

  void testRunStarting(const Catch::TestRunInfo&) override { started = true; }

  void testCaseStarting(const Catch::TestCaseInfo& info) override {
    running = info.name;
    skip_asked = false;
  }

  void testCaseEnded(const Catch::TestCaseStats& stats) override {
    const bool failed = stats.totals.testCases.failed > 0;
    if (skip_asked && !failed) {
      ++counts.skipped;
      return;
    }
    ++counts.run;
    if (failed) ++counts.failed;
  }
};

CATCH_REGISTER_LISTENER(Counter)

/// `build/tests/core/core_tests` -> `core`.
std::string suite_name(const char* program) {
  const std::string name = std::filesystem::path(program).filename().string();
  return name.substr(0, name.rfind("_tests"));
}

}  // namespace

bool skip_unless(bool condition, std::string_view reason) {
  if (condition) return false;
  skip_asked = true;
  std::cout << "skipped: " << running << ": " << reason << std::endl;
  return true;
}

int run_cases(int argc, char** argv) {
  Catch::Session session;
  const int wrong_use = session.applyCommandLine(argc, argv);
  if (wrong_use != 0) return wrong_use;
  const int status = session.run();
  if (!started) return status;

  std::cout << suite_name(argv[0]) << ": " << counts.run << " cases run, " << counts.skipped << " skipped, "
            << counts.failed << " failed" << std::endl;
  if (counts.run + counts.skipped == 0) {
    std::cerr << "no case was run" << std::endl;
    return kExitNothingRan;
  }
  if (status != 0) return kExitFailed;
  return counts.run == 0 ? kExitSkipped : 0;
}

}  // namespace retrace::test
