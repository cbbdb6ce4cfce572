#include <pthread.h>
#include <retrace/core/cpu/parallel.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <system_error>
#include <thread>
#include <vector>

namespace retrace::cpu {

namespace {

// How long a thread that waits looks again and again before it sleeps. The next loop mostly comes sooner, and
// to wake a sleeper takes some microseconds; to look for longer takes a core from another program.
constexpr std::chrono::microseconds kSpin{50};
constexpr std::size_t kCacheLine = 64;

void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

/// Returns when `value` is no longer `old`: spins, then sleeps until a notification.
template <class T>
void wait_for_change(const std::atomic<T>& value, T old) {
  const auto end = std::chrono::steady_clock::now() + kSpin;
  do {
    for (int turn = 0; turn < 16; ++turn) {
      if (value.load() != old) return;
      pause();
    }
  } while (std::chrono::steady_clock::now() < end);
  value.wait(old);
}

/// The threads that help one thread of the program with its loops. A loop waits for those helpers alone that
/// have begun a task of it: one that is not awake in time, because other programs have the cores, is not
/// missed.
class ThreadPool {
 public:
  ThreadPool() = default;
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;
  ~ThreadPool() {
    stop_ = true;
    loop_ += 2;
    loop_.notify_all();
    for (std::thread& helper : helpers_) helper.join();
  }

  /// Starts helpers until there are so many, or the system gives no more of them.
  void grow(std::size_t helpers) {
    try {
      while (helpers_.size() < helpers) helpers_.emplace_back([this] { help(); });
    } catch (const std::system_error&) {
    }
  }

  void run(std::int64_t tasks, int threads, TaskBody body) {
    tasks_ = tasks;
    slots_ = threads;
    body_ = body;
    next_task_ = 0;
    next_slot_ = 1;
    ++loop_;  // open
    wake(static_cast<std::size_t>(threads - 1));
    work(0);
    ++loop_;  // closed
    for (int inside = inside_; inside != 0; inside = inside_) wait_for_change(inside_, inside);
  }

 private:
  void wake(std::size_t helpers) {
    if (helpers >= helpers_.size()) {
      loop_.notify_all();
    } else {
      for (std::size_t n = 0; n < helpers; ++n) loop_.notify_one();
    }
  }

  void work(std::int64_t slot) {
    for (std::int64_t task = next_task_++; task < tasks_; task = next_task_++)
      body_.call(body_.body, slot, task);
  }

  /// What a helper does all its life.
  void help();

  /// Takes part in loop number `loop`, if it is still open. Whoever is counted before it is closed is waited
  /// for, so the members above stay as they are; whoever is counted later finds it closed.
  void join(std::uint32_t loop) {
    ++inside_;
    if (loop_ == loop) {
      const int slot = next_slot_++;
      if (slot < slots_) work(slot);
    }
    if (--inside_ == 0) inside_.notify_one();
  }

  std::int64_t tasks_ = 0;
  int slots_ = 0;
  TaskBody body_{};
  std::atomic<int> next_slot_ = 0;
  std::atomic<bool> stop_ = false;
  alignas(kCacheLine) std::atomic<std::int64_t> next_task_ = 0;
  alignas(kCacheLine) std::atomic<std::uint32_t> loop_ =
      0;                                             ///< counts openings and closings: odd while one is open
  alignas(kCacheLine) std::atomic<int> inside_ = 0;  ///< helpers that are in a loop or look for one
  std::vector<std::thread> helpers_;
};

thread_local bool inside_a_loop = false;

void ThreadPool::help() {
  inside_a_loop = true;
  std::uint32_t seen = 0;
  while (!stop_) {
    wait_for_change(loop_, seen);
    seen = loop_;
    if (seen % 2 == 1) join(seen);
  }
}

/// The pool of this thread. It ends with the thread; the child of a fork, which has none of the helpers, gets
/// a new one.
ThreadPool& pool() {
  thread_local std::unique_ptr<ThreadPool> own;
  static const int registered = pthread_atfork(nullptr, nullptr, [] { static_cast<void>(own.release()); });
  static_cast<void>(registered);
  if (!own) own = std::make_unique<ThreadPool>();
  return *own;
}

}  // namespace

void run_on_pool(std::int64_t tasks, int threads, TaskBody body) {
  if (inside_a_loop) {
    for (std::int64_t task = 0; task < tasks; ++task) body.call(body.body, 0, task);
    return;
  }
  inside_a_loop = true;
  ThreadPool& helpers = pool();
  helpers.grow(static_cast<std::size_t>(threads - 1));
  helpers.run(tasks, threads, body);
  inside_a_loop = false;
}

}  // namespace retrace::cpu
