#pragma once
// Internal: pixels on their way to the caches while products are made.
#include <cstdint>

namespace retrace::cpu::winograd {

/// Asks for the pixels of a vector of tiles in some channels, in steps between which products are made: they
/// are often far from the caches.
template <class Tiles, bool kToWrite>
class Fetcher {
 public:
  /// Planes are `plane` elements apart.
  Fetcher(const Tiles& tiles, const float* planes, std::int64_t plane, std::int64_t channels,
          std::int64_t steps)
      : tiles_(tiles), planes_(planes), plane_(plane), rows_(channels * Tiles::kRows), steps_(steps) {}

  void step() {
    ++step_;
    for (; row_ < step_ * rows_ / steps_; ++row_)
      tiles_.template fetch_row<kToWrite>(planes_ + row_ / Tiles::kRows * plane_,
                                          static_cast<int>(row_ % Tiles::kRows));
  }

 private:
  Tiles tiles_;
  const float* planes_;
  std::int64_t plane_, rows_, steps_;
  std::int64_t step_ = 0, row_ = 0;
};

}  // namespace retrace::cpu::winograd
