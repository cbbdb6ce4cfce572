#pragma once
// Internal: what the gradients of weights share whose lanes are output channels.
#include <retrace/core/cpu/conv2d_tile.h>

namespace retrace::cpu {

/// Calls put(vector) for each pixel of `channels` (at most kLanes) planes that are `stride` elements apart.
/// Lane k holds channel k, or zero.
template <class T, class Put>
void for_each_pixel(const T* planes, std::int64_t stride, std::int64_t channels, std::int64_t pixels,
                    const Put& put) {
  std::int64_t p = 0;
  for (; p + kLanes<T> <= pixels; p += kLanes<T>) {
    Vec<T> square[kLanes<T>];
#pragma GCC unroll 16
    for (int k = 0; k < kLanes<T>; ++k) square[k] = k < channels ? load(planes + k * stride + p) : Vec<T>{};
    transpose<T>(square);
#pragma GCC unroll 16
    for (int k = 0; k < kLanes<T>; ++k) put(square[k]);
  }
  for (; p < pixels; ++p) {
    Vec<T> pixel{};
    for (int k = 0; k < channels; ++k) pixel[k] = planes[k * stride + p];
    put(pixel);
  }
}

/// dw from sums[block of kLanes output channels][c][u][v][lane].
template <class T>
void write_lane_sums(const Conv2dGeometry& g, const T* sums, T* dw) {
  constexpr std::int64_t kWide = kLanes<T>;
  for (std::int64_t o = 0; o < g.o; ++o)
    for (std::int64_t k = 0; k < g.depth(); ++k)
      dw[o * g.depth() + k] = sums[(o / kWide * g.depth() + k) * kWide + o % kWide];
}

}  // namespace retrace::cpu
