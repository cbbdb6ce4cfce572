#include <retrace/core/cpu/parallel.h>
#include <retrace/core/error.h>
#include <retrace/core/threads.h>

#include <vector>

#include "../support/catch.h"
#include "../support/random_tensor.h"
#include "../support/throws.h"

using namespace retrace;

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
