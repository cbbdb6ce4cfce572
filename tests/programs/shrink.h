#pragma once
#include <functional>
#include <string>

#include "program.h"

namespace retrace::fuzz {

/// A smaller program for which `kind_of` is what it is for `program`: parts are taken away while it stays so,
/// and at most `budget` programs are tried.
Program shrink(Program program, const std::function<std::string(const Program&)>& kind_of, int budget);

}  // namespace retrace::fuzz
