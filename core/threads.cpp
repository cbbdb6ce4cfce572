#include <omp.h>
#include <retrace/core/fail.h>
#include <retrace/core/threads.h>

#include <atomic>

namespace retrace {

namespace {
std::atomic<int> chosen_threads = 0;
}

int num_threads() {
  const int chosen = chosen_threads;
  return chosen > 0 ? chosen : omp_get_num_procs();
}

void set_num_threads(int threads) {
  if (threads < 1) fail<ArgumentError>("threads", "there must be at least 1 thread, got {}", threads);
  chosen_threads = threads;
}

}  // namespace retrace
