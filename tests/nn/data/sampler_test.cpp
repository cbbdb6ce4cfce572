#include <retrace/core/error.h>
#include <retrace/nn/data/sampler.h>

#include <algorithm>
#include <cstdlib>
#include <limits>
#include <map>
#include <numeric>

#include "../../support/catch.h"
#include "../../support/throws.h"

using namespace retrace;
using namespace retrace::test;

namespace {

using Samples = std::vector<std::int64_t>;

}  // namespace

TEST_CASE("an epoch's order is a permutation, another one each epoch and seed", "[sampler]") {
  const Samples order = epoch_order(1000, 3, 7);
  CHECK(order == epoch_order(1000, 3, 7));
  CHECK(order != epoch_order(1000, 3, 8));
  CHECK(order != epoch_order(1000, 4, 7));
  Samples sorted = order;
  std::sort(sorted.begin(), sorted.end());
  Samples all(1000);
  std::iota(all.begin(), all.end(), std::int64_t{0});
  CHECK(order != all);
  CHECK(sorted == all);
  CHECK(epoch_order(1, 0, 0) == Samples{0});
  CHECK(epoch_order(0, 0, 0).empty());
  check_throws<ArgumentError>([] { epoch_order(-1, 0, 0); }, "[epoch_order] size must be 0 or more, got -1");
}

TEST_CASE("every permutation is equally likely", "[sampler]") {
  std::map<Samples, int> counts;
  constexpr int kEpochs = 6000;
  for (int epoch = 0; epoch < kEpochs; ++epoch) ++counts[epoch_order(3, 1, epoch)];
  REQUIRE(counts.size() == 6);
  for (const auto& [order, count] : counts)
    CHECK(std::abs(count - kEpochs / 6) < 145);  // five standard deviations
}

TEST_CASE("samples are the epochs' orders, one after the other", "[sampler]") {
  RandomSampler sampler(10, 3);
  CHECK(sampler.size() == 10);
  for (std::int64_t epoch = 0; epoch < 4; ++epoch) {
    CHECK(sampler.position() == 10 * epoch);
    CHECK(sampler.next(10) == epoch_order(10, 3, epoch));
  }
  CHECK(epoch_order(10, 3, 0) != epoch_order(10, 3, 1));
}

TEST_CASE("samples come one by one or many at a time", "[sampler]") {
  RandomSampler many(7, 1);
  RandomSampler one(7, 1);
  for (const std::int64_t n : {0, 3, 1, 20, 7})
    for (const std::int64_t sample : many.next(n)) CHECK(sample == one.next());
  CHECK(many.position() == 31);
  CHECK(RandomSampler(1).next(3) == Samples{0, 0, 0});
}

TEST_CASE("a sampler goes on from any position", "[sampler]") {
  const Samples all = RandomSampler(6, 5).next(40);
  for (const std::int64_t position : {0, 1, 6, 17, 39}) {
    RandomSampler sampler(6, 5);
    sampler.next(23);
    sampler.seek(position);
    CHECK(sampler.next(40 - position) == Samples(all.begin() + position, all.end()));
  }
}

TEST_CASE("other seeds sample in another order", "[sampler]") {
  CHECK(RandomSampler(100, 1).next(100) != RandomSampler(100, 2).next(100));
  CHECK(RandomSampler(100, 1).next(100) == RandomSampler(100, 1).next(100));
}

TEST_CASE("samplers that do not exist", "[sampler]") {
  check_throws<ArgumentError>([] { return RandomSampler(0); },
                              "[RandomSampler] size must be at least 1, got 0");
  RandomSampler sampler(3);
  check_throws<ArgumentError>([&] { sampler.seek(-1); },
                              "[RandomSampler] position must be in [0,2^62], got -1");
  check_throws<ArgumentError>([&] { sampler.seek(std::numeric_limits<std::int64_t>::max()); },
                              "[RandomSampler] position must be in [0,2^62], got 9223372036854775807");
  sampler.seek(std::int64_t{1} << 62);
  CHECK(sampler.next() < 3);
  check_throws<ArgumentError>([&] { return sampler.next(-1); },
                              "[RandomSampler] the number of samples must be at least 0, got -1");
}
