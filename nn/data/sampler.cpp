#include <retrace/core/fail.h>
#include <retrace/core/random.h>
#include <retrace/nn/data/sampler.h>

#include <numeric>
#include <utility>

namespace retrace {

namespace {

constexpr std::uint64_t kShuffleStream = 0x5F1E;
constexpr std::int64_t kMaxPosition = std::int64_t{1} << 62;  // from there, nobody counts to the end

}  // namespace

std::vector<std::int64_t> epoch_order(std::int64_t size, std::uint64_t seed, std::int64_t epoch) {
  if (size < 0) fail<ArgumentError>("epoch_order", "size must be 0 or more, got {}", size);
  std::vector<std::int64_t> order(static_cast<std::size_t>(size));
  std::iota(order.begin(), order.end(), std::int64_t{0});
  const RandomStream stream = {.seed = seed,
                               .stream = mix(kShuffleStream, static_cast<std::uint64_t>(epoch))};
  for (std::uint64_t i = order.size(); i > 1; --i) {
    const auto bits = philox(stream, i);
    const std::uint64_t chosen = (std::uint64_t{bits[0]} << 32 | bits[1]) % i;
    std::swap(order[i - 1], order[chosen]);
  }
  return order;
}

RandomSampler::RandomSampler(std::int64_t size, std::uint64_t seed) : size_(size), seed_(seed) {
  if (size < 1) fail<ArgumentError>("RandomSampler", "size must be at least 1, got {}", size);
}

void RandomSampler::seek(std::int64_t position) {
  if (position < 0 || position > kMaxPosition)
    fail<ArgumentError>("RandomSampler", "position must be in [0,2^62], got {}", position);
  position_ = position;
}

std::int64_t RandomSampler::next() {
  const std::int64_t epoch = position_ / size_;
  if (epoch != epoch_) order_ = epoch_order(size_, seed_, epoch);
  epoch_ = epoch;
  return order_[static_cast<std::size_t>(position_++ % size_)];
}

std::vector<std::int64_t> RandomSampler::next(std::int64_t n) {
  if (n < 0) fail<ArgumentError>("RandomSampler", "the number of samples must be at least 0, got {}", n);
  std::vector<std::int64_t> samples(static_cast<std::size_t>(n));
  for (std::int64_t& sample : samples) sample = next();
  return samples;
}

}  // namespace retrace
