#pragma once

namespace retrace::cli {

/// Lets threads that wait for each other sleep after some microseconds. To spin on, as OpenMP does by
/// default, makes a step up to 20 times slower as soon as another program wants one of the cores; to sleep at
/// once makes it 10 % slower, since the next parallel loop mostly comes before a sleeper is awake. The
/// runtime reads the environment when it is loaded, so the program has to be started again; where that fails,
/// it goes on as it is.
void let_threads_sleep(char** argv);

}  // namespace retrace::cli
