#include <retrace/core/fail.h>
#include <retrace/core/threads.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <thread>

namespace retrace {

namespace {

std::atomic<int> chosen_threads = 0;

/// The processors that the program may run on.
int usable_processors() {
  cpu_set_t processors;
  if (sched_getaffinity(getpid(), sizeof processors, &processors) == 0) return CPU_COUNT(&processors);
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

}  // namespace

int num_threads() {
  const int chosen = chosen_threads;
  static const int usable = usable_processors();
  return chosen > 0 ? chosen : usable;
}

void set_num_threads(int threads) {
  if (threads < 1) fail<ArgumentError>("threads", "there must be at least 1 thread, got {}", threads);
  chosen_threads = threads;
}

}  // namespace retrace
