#pragma once
#include <cstdint>
#include <vector>

namespace retrace {

/// The order of an epoch: a permutation of [0, size) that is a function of (seed, epoch) alone.
/// Durstenfeld: "Algorithm 235: Random permutation", CACM 1964.
std::vector<std::int64_t> epoch_order(std::int64_t size, std::uint64_t seed, std::int64_t epoch);

/// Samples of a data set, as many as are asked for: epoch after epoch in its own order, so that each block of
/// `size` samples is a permutation of [0, size). The sample at a position is a function of (size, seed,
/// position) alone: `seek` goes on with the very samples of a run that has stopped there.
class RandomSampler {
 public:
  /// Throws ArgumentError for a size below 1.
  explicit RandomSampler(std::int64_t size, std::uint64_t seed = 0);

  std::int64_t size() const { return size_; }  ///< of the data set
  /// How many samples came before the next one.
  std::int64_t position() const { return position_; }
  /// Throws ArgumentError for a negative position and for one above 2^62.
  void seek(std::int64_t position);

  std::int64_t next();  ///< the next sample, in [0, size)
  /// The next n samples. Throws ArgumentError for a negative number.
  std::vector<std::int64_t> next(std::int64_t n);

 private:
  std::int64_t size_;
  std::uint64_t seed_;
  std::int64_t position_ = 0;
  std::int64_t epoch_ = -1;  // of order_
  std::vector<std::int64_t> order_;
};

}  // namespace retrace
