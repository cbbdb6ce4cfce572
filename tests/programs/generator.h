#pragma once
#include "program.h"

namespace retrace::fuzz {

/// The program of a seed. Its statements run, stored, while it is made: so it knows every shape.
Program generate(std::uint64_t seed);

}  // namespace retrace::fuzz
