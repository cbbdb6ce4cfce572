#pragma once
// Internal: pixels on their way to the caches while products are made.
#include <cstdint>

namespace retrace::cpu::winograd {

/// Asks for the pixels of some vectors of tiles while products are made: they are often far from the caches.
template <class Tiles, bool kToWrite>
class Fetcher {
 public:
  /// For `channels` planes, in `steps` steps.
  Fetcher(const Tiles* tiles, std::int64_t vectors, const float* planes, std::int64_t plane,
          std::int64_t channels, std::int64_t steps)
      : tiles_(tiles), planes_(planes), plane_(plane), vectors_(vectors), rows_(channels * vectors * Tiles::kRows), steps_(steps) {}

  void step() {
    ++step_;
    for (; row_ < step_ * rows_ / steps_; ++row_) {
      const std::int64_t vector = row_ / Tiles::kRows;
      tiles_[vector % vectors_].template fetch_row<kToWrite>(planes_ + vector / vectors_ * plane_,
                                                            static_cast<int>(row_ % Tiles::kRows));
    }
  }

 private:
  const Tiles* tiles_;
  const float* planes_;
  std::int64_t plane_, vectors_, rows_, steps_;
  std::int64_t step_ = 0, row_ = 0;
};

}  // namespace retrace::cpu::winograd
