#include <retrace/core/cpu/parallel.h>
#include <retrace/core/error.h>
#include <retrace/core/threads.h>

#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <ctime>
#include <set>
#include <thread>
#include <vector>

#include "../support/catch.h"
#include "../support/random_tensor.h"
#include "../support/throws.h"

using namespace retrace;

namespace {

/// The sum of 0 to 999, from a loop with one task a number.
std::int64_t sum_by_loop() {
  std::vector<std::int64_t> terms(1000);
  cpu::parallel_tasks(1000, 1000,
                      [&](std::int64_t, std::int64_t task) { terms[static_cast<std::size_t>(task)] = task; });
  std::int64_t sum = 0;
  for (const std::int64_t term : terms) sum += term;
  return sum;
}
constexpr std::int64_t kSum = 999 * 1000 / 2;

double process_seconds() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

}  // namespace

TEST_CASE("the number of threads can be chosen", "[threads]") {
  CHECK(num_threads() >= 1);
  const test::WithThreads three(3);
  CHECK(num_threads() == 3);
  test::check_throws<ArgumentError>([] { set_num_threads(0); },
                                    "[threads] there must be at least 1 thread, got 0");
  CHECK(num_threads() == 3);
}

TEST_CASE("parallel_for covers a range once, in the same pieces for any number of threads", "[threads]") {
  for (const std::int64_t n : {0, 1, 7, 8, 9, 100}) {
    for (const int threads : {1, 2, 5}) {
      const test::WithThreads chosen(threads);
      std::vector<int> visits(static_cast<std::size_t>(n));
      std::vector<std::int64_t> ends(static_cast<std::size_t>(n));
      cpu::parallel_for(n, 8, [&](std::int64_t begin, std::int64_t end) {
        ends[static_cast<std::size_t>(begin)] = end;
        for (std::int64_t i = begin; i < end; ++i) ++visits[static_cast<std::size_t>(i)];
      });
      CHECK(visits == std::vector<int>(static_cast<std::size_t>(n), 1));
      for (std::int64_t begin = 0; begin < n; begin += 8)
        CHECK(ends[static_cast<std::size_t>(begin)] == std::min<std::int64_t>(n, begin + 8));
    }
  }
}

TEST_CASE("tasks that run at the same time have different slots", "[threads][tsan]") {
  const test::WithThreads chosen(4);
  std::vector<std::atomic<int>> inside(3);
  std::atomic<int> clashes = 0;
  for (int loop = 0; loop < 200; ++loop)
    cpu::parallel_tasks(50, 3, [&](std::int64_t slot, std::int64_t) {
      auto& mine = inside.at(static_cast<std::size_t>(slot));
      if (++mine != 1) ++clashes;
      --mine;
    });
  CHECK(clashes == 0);
}

TEST_CASE("a loop inside of a loop runs on one thread", "[threads][tsan]") {
  const test::WithThreads chosen(3);
  std::vector<int> right(20);
  cpu::parallel_tasks(20, 20, [&](std::int64_t, std::int64_t task) {
    std::set<std::thread::id> threads;
    cpu::parallel_tasks(10, 10,
                        [&](std::int64_t, std::int64_t) { threads.insert(std::this_thread::get_id()); });
    right[static_cast<std::size_t>(task)] = threads == std::set{std::this_thread::get_id()} ? 1 : 0;
  });
  CHECK(right == std::vector<int>(20, 1));
}

TEST_CASE("threads of the program run loops at the same time", "[threads][tsan]") {
  const test::WithThreads chosen(3);
  std::vector<int> right(4);
  std::vector<std::thread> callers;
  for (std::size_t i = 0; i < right.size(); ++i)
    callers.emplace_back([&right, i] {
      for (int loop = 0; loop < 50; ++loop) right[i] += sum_by_loop() == kSum ? 1 : 0;
    });
  for (std::thread& caller : callers) caller.join();
  CHECK(right == std::vector<int>(4, 50));
}

TEST_CASE("more threads may be asked for later", "[threads][tsan]") {
  for (const int threads : {2, 5, 3}) {
    const test::WithThreads chosen(threads);
    CHECK(sum_by_loop() == kSum);
  }
}

TEST_CASE("the child of a fork runs loops", "[threads]") {
  const test::WithThreads chosen(3);
  CHECK(sum_by_loop() == kSum);
  const pid_t child = fork();
  if (child == 0) std::_Exit(sum_by_loop() == kSum ? 0 : 1);
  int status = -1;
  REQUIRE(waitpid(child, &status, 0) == child);
  CHECK(status == 0);
}

// A runtime that spins takes a core for milliseconds after each loop; another program would have to share it.
TEST_CASE("threads that wait for the next loop sleep", "[threads]") {
  const test::WithThreads chosen(2);
  sum_by_loop();
  const auto begin = std::chrono::steady_clock::now();
  const double used_before = process_seconds();
  for (int loop = 0; loop < 40; ++loop) {
    sum_by_loop();
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - begin;
  CHECK(process_seconds() - used_before < 0.25 * passed.count());
}
