#pragma once
#include <string_view>

namespace retrace::test {

/// For a case that needs what this machine may lack: `if (skip_unless(found, "needs the CIFAR-10 files"))
/// return;` Prints `skipped: <case>: <reason>` and counts the running case as skipped, unless it fails all
/// the same.
[[nodiscard]] bool skip_unless(bool condition, std::string_view reason);

}  // namespace retrace::test
