#pragma once
// Internal: what the gradients of weights share whose lanes are channels.
#include <retrace/core/cpu/conv2d_tile.h>

namespace retrace::cpu {

/// Calls put(vector) for each of `pixels` pixels of `channels` (at most kLanes) planes that are `stride`
/// elements apart. Lane k holds channel k, or zero.
template <class T, class Pixels, class Put>
void for_each_pixel(const T* planes, std::int64_t stride, std::int64_t channels, const Pixels& of,
                    std::int64_t begin, std::int64_t pixels, const Put& put) {
  const std::int64_t end = begin + pixels;
  std::int64_t p = begin;
  for (; p + kLanes<T> <= end; p += kLanes<T>) {
    const T* from = of.at(planes, p);
    Vec<T> square[kLanes<T>];
#pragma GCC unroll 16
    for (int k = 0; k < kLanes<T>; ++k)
      square[k] = k < channels ? Pixels::load_run(from + k * stride) : Vec<T>{};
    transpose<T>(square);
#pragma GCC unroll 16
    for (int k = 0; k < kLanes<T>; ++k) put(square[k]);
  }
  for (; p < end; ++p) {
    const T* from = of.at(planes, p);
    Vec<T> pixel{};
    for (int k = 0; k < channels; ++k) pixel[k] = from[k * stride];
    put(pixel);
  }
}
template <class T, class Put>
void for_each_pixel(const T* planes, std::int64_t stride, std::int64_t channels, std::int64_t pixels,
                    const Put& put) {
  for_each_pixel(planes, stride, channels, EachPixel{}, 0, pixels, put);
}

/// dw from sums[block of kLanes output channels][c][u][v][lane].
template <class T>
void write_lane_sums(const Conv2dGeometry& g, const T* sums, T* dw) {
  constexpr std::int64_t kWide = kLanes<T>;
  for (std::int64_t o = 0; o < g.o; o += kWide)
    for (std::int64_t k = 0; k < g.depth(); k += kWide) {
      const std::int64_t elements = std::min(kWide, g.depth() - k);
      T* to = dw + o * g.depth() + k;
      // The elements of a filter are to a lane what channels are to a pixel.
      for_each_pixel(sums, kWide, elements, std::min(kWide, g.o - o), [&](const Vec<T>& filter) {
        store_some<T>(to, filter, elements);
        to += g.depth();
      });
      sums += elements * kWide;
    }
}

/// dw from sums[block of kLanes input channels][o][lane], for 1 x 1 filters.
template <class T>
void write_input_lane_sums(const Conv2dGeometry& g, const T* sums, T* dw) {
  constexpr std::int64_t kWide = kLanes<T>;
  for (std::int64_t c = 0; c < g.c; c += kWide)
    for (std::int64_t o = 0; o < g.o; ++o, sums += kWide)
      std::copy(sums, sums + std::min(kWide, g.c - c), dw + o * g.c + c);
}

}  // namespace retrace::cpu
