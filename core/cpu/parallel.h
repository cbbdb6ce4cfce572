#pragma once
#include <retrace/core/threads.h>

#include <algorithm>
#include <cstdint>

namespace retrace::cpu {

/// Elements that one task of an elementwise loop gets.
inline constexpr std::int64_t kGrain = 16384;

/// The number of tasks into which `parallel_for` cuts [0, n).
constexpr std::int64_t task_count(std::int64_t n, std::int64_t grain) { return (n + grain - 1) / grain; }

/// A loop's body behind one type: `call(body, slot, task)`.
struct TaskBody {
  const void* body;
  void (*call)(const void* body, std::int64_t slot, std::int64_t task);
};

/// Runs the tasks in [0, tasks) on this thread, as slot 0, and on at most `threads - 1` of its pool. Inside
/// of another loop this thread runs them alone.
void run_on_pool(std::int64_t tasks, int threads, TaskBody body);

/// Runs `body(slot, task)` for the tasks in [0, tasks), on at most `slots` threads. Tasks that run at the
/// same time have different slots in [0, slots): a thread keeps its own, and what is there stays in its
/// core's cache. `body` must not throw.
template <class Body>
void parallel_tasks(std::int64_t tasks, std::int64_t slots, const Body& body) {
  const int threads = static_cast<int>(std::min<std::int64_t>({num_threads(), slots, tasks}));
  if (threads <= 1) {
    for (std::int64_t task = 0; task < tasks; ++task) body(0, task);
    return;
  }
  run_on_pool(tasks, threads, {&body, [](const void* erased, std::int64_t slot, std::int64_t task) {
                                 (*static_cast<const Body*>(erased))(slot, task);
                               }});
}

/// Runs `body(begin, end)` for consecutive pieces of [0, n), each of `grain` items but the last.
/// The pieces depend on n and grain alone, never on the number of threads, so that each element is computed
/// by the same instructions (vector body or scalar tail) and each partial sum has the same terms. `body` must
/// not throw.
template <class Body>
void parallel_for(std::int64_t n, std::int64_t grain, const Body& body) {
  const std::int64_t tasks = task_count(n, grain);
  parallel_tasks(tasks, tasks,
                 [&](int, std::int64_t task) { body(task * grain, std::min(n, (task + 1) * grain)); });
}

}  // namespace retrace::cpu
