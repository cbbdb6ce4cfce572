// The ledger and the allocator are thread-safe. [tsan]: these cases also run under the thread sanitizer, so
// they use threads of their own and no kernel.
#include <retrace/core/allocator.h>
#include <retrace/core/error.h>
#include <retrace/core/scope.h>
#include <retrace/core/storage.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "../support/catch.h"

using namespace retrace;

namespace {

/// Runs body(thread) on `count` threads that start together, and waits for them.
template <class Body>
void run_threads(int count, const Body& body) {
  std::atomic<int> waiting = count;
  std::vector<std::thread> threads;
  for (int t = 0; t < count; ++t) {
    threads.emplace_back([&, t] {
      --waiting;
      while (waiting > 0) std::this_thread::yield();
      body(t);
    });
  }
  for (std::thread& thread : threads) thread.join();
}

constexpr int kThreads = 4;
constexpr int kRounds = 200;

}  // namespace

TEST_CASE("threads that allocate and free leave the ledger as it was", "[core][memory][tsan]") {
  const Ledger& book = ledger();
  const std::int64_t live = book.live();
  const std::int64_t total = book.total();
  Counter counter;
  run_threads(kThreads, [](int t) {
    const Scope scope("thread" + std::to_string(t));
    for (int round = 0; round < kRounds; ++round) {
      const Storage first(64 * (1 + round % 5), Tag::data);
      Storage second(128, Tag::activation);
      second.release("the test");
      second.restore();
    }
  });
  CHECK(book.live() == live);
  // a thread and round: 64 (1 + round mod 5), and 128 twice because the second storage is restored
  const std::int64_t expected = std::int64_t{kThreads} * kRounds * (64 * 3 + 2 * 128);
  CHECK(book.total() - total == expected);
  CHECK(counter.total() == expected);
  CHECK(counter.live() == live);
  CHECK(counter.peak() - live >= 128);
  CHECK(counter.peak() - live <= kThreads * (64 * 5 + 128));
}

TEST_CASE("threads never get the same block", "[core][memory][tsan]") {
  std::atomic<int> clashes = 0;
  run_threads(kThreads, [&](int t) {
    for (int round = 0; round < kRounds; ++round) {
      Storage mine(256, Tag::workspace);
      auto* numbers = reinterpret_cast<std::int32_t*>(mine.mutable_data());
      for (int i = 0; i < 64; ++i) numbers[i] = t;
      std::this_thread::yield();
      for (int i = 0; i < 64; ++i) clashes += numbers[i] != t;
    }
  });
  CHECK(clashes == 0);
}

TEST_CASE("counters and tables may be read while other threads allocate", "[core][memory][tsan]") {
  std::atomic<bool> done = false;
  std::atomic<int> looks = 0;
  std::thread reader([&] {
    while (!done) {
      const Counter counter(TagSet::all(), /*remember=*/true);
      static_cast<void>(counter.peak());
      static_cast<void>(counter.alive_at_peak());
      static_cast<void>(table_of(ledger().alive()));
      ++looks;
    }
  });
  run_threads(kThreads, [&](int) {
    for (int round = 0; round < kRounds || looks == 0; ++round) {
      Storage bytes(64, Tag::activation);
      bytes.set_tag(Tag::gradient);
    }
  });
  done = true;
  reader.join();
  CHECK(looks > 0);
  CHECK(ledger().alive(Tag::gradient).empty());
}

TEST_CASE("content numbers are unique across threads", "[core][memory][tsan]") {
  std::vector<std::vector<std::uint64_t>> seen(kThreads);
  run_threads(kThreads, [&](int t) {
    Storage bytes(64, Tag::data);
    for (int round = 0; round < kRounds; ++round) {
      static_cast<void>(bytes.mutable_data());
      seen[static_cast<std::size_t>(t)].push_back(bytes.content());
    }
  });
  std::vector<std::uint64_t> all;
  for (const auto& one : seen) all.insert(all.end(), one.begin(), one.end());
  std::sort(all.begin(), all.end());
  CHECK(std::adjacent_find(all.begin(), all.end()) == all.end());
}

TEST_CASE("a budget holds against threads", "[core][memory][tsan]") {
  Ledger& book = ledger();
  allocator().flush();
  const std::int64_t budget = book.live() + 10 * 64;
  book.set_budget(budget);
  std::atomic<int> refused = 0;
  std::vector<std::vector<std::unique_ptr<Storage>>> held(kThreads);  // until every thread has tried
  run_threads(kThreads, [&](int t) {
    for (int i = 0; i < 10; ++i) {
      try {
        held[static_cast<std::size_t>(t)].push_back(std::make_unique<Storage>(64, Tag::data));
      } catch (const OutOfMemoryError&) {
        ++refused;
      }
    }
  });
  const std::int64_t live = book.live();
  book.set_budget(0);
  CHECK(live == budget);
  CHECK(refused == kThreads * 10 - 10);
}
