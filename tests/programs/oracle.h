#pragma once
#include <string>

#include "program.h"

namespace retrace::fuzz {

/// What the checks of one program found.
struct Verdict {
  /// The kind of the first finding; empty for none. The shrinker keeps it.
  std::string kind{};
  std::string text{};
  bool gradients_checked = true;    // against the stored run; false where noise decides them
  bool differences_checked = true;  // against finite differences
};

/// Runs a program as written and stored, and compares: values and random numbers bit by bit, gradients and
/// rebuilt values up to rounding, bytes; and the stored gradients with finite differences.
Verdict check(const Program& program);

}  // namespace retrace::fuzz
