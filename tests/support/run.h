#pragma once

namespace retrace::test {

/// Runs the cases that the arguments choose and prints, at the end, `<suite>: N cases run, M skipped, K
/// failed`. Returns 0 when all passed, 77 when all were skipped, and another number when one failed or none
/// was chosen.
int run_cases(int argc, char** argv);

}  // namespace retrace::test
