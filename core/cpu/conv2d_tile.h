#pragma once
// Internal: the register tile that convolutions without im2col share. The lanes of a vector are pixels.
// Planes are laid out such that the inputs of a filter element (a tap) for a run of output pixels are a run
// at a constant offset:
//   y[o][p] = sum over c, t of w[o][c][t] source[c][offset[t] + p]
#include <retrace/core/cpu/conv2d_traffic.h>

#include <array>

namespace retrace::cpu {

/// Scratch for the pixels of one strip: they stay in a core's cache.
inline constexpr std::int64_t kStripBytes = std::int64_t{256} << 10;

/// A register tile: up to kTileChannels output channels times kTileVectors vectors of pixels, which with
/// their operands fill 32 (AVX-512) or 16 registers.
inline constexpr int kTileVectors = kVectorBytes == 64 ? 4 : 2;
inline constexpr int kTileChannels = 6;
template <class T>
inline constexpr std::int64_t kTilePixels = kTileVectors* kLanes<T>;

/// Rows [begin, end) of an image.
struct Strip {
  std::int64_t begin, end;
  std::int64_t rows() const { return end - begin; }
};

/// Calls f(strip) for strips of at most `rows` rows.
template <class F>
void for_each_strip(std::int64_t height, std::int64_t rows, const F& f) {
  for (std::int64_t row = 0; row < height; row += rows) f(Strip{row, std::min(height, row + rows)});
}

/// Rows of a strip such that they and 2 more, of `row_bytes` each, fit into its scratch, and strips are about
/// equal.
inline std::int64_t strip_rows(std::int64_t row_bytes, std::int64_t height) {
  const std::int64_t most = std::max<std::int64_t>(kStripBytes / row_bytes - 2, 1);
  const std::int64_t strips = (height + most - 1) / most;
  return (height + strips - 1) / strips;
}

/// The pixels of a plane, one after another.
struct EachPixel {
  template <class T>
  const T* at(const T* plane, std::int64_t pixel) const {
    return plane + pixel;
  }
  /// As many pixels as a vector has, from there on.
  template <class T>
  [[gnu::always_inline]] static Vec<T> load_run(const T* from) {
    return load(from);
  }
};

/// Every second pixel of rows `row_stride` elements apart, of each `width`: whole vectors.
struct EverySecondPixel {
  std::int64_t width, row_stride;
  template <class T>
  const T* at(const T* plane, std::int64_t pixel) const {
    return plane + pixel / width * row_stride + 2 * (pixel % width);
  }
  template <class T>
  [[gnu::always_inline]] static Vec<T> load_run(const T* from) {
    return even_lanes<T>(load(from), load(from + kLanes<T>));
  }
};

/// Where the tile finds its inputs: `channels` planes, each with all taps.
template <int kTaps, class Pixels = EachPixel>
struct Taps {
  std::int64_t channels, channel_stride;
  std::array<std::int64_t, kTaps> offsets;
  Pixels pixels{};
};

/// Output channels go through the register tile in blocks of 6, then 4, then 1.
inline std::int64_t block_size(std::int64_t left) {
  if (left >= 12 || (left >= 6 && left % 4 != 0)) return kTileChannels;
  return left >= 4 ? 4 : 1;
}

/// Calls f(first channel, size as an integral constant) for each block of output channels.
template <class F>
void for_each_block(std::int64_t out_channels, const F& f) {
  for (std::int64_t o = 0, size = 0; o < out_channels; o += size) {
    size = block_size(out_channels - o);
    if (size == kTileChannels)
      f(o, std::integral_constant<int, kTileChannels>{});
    else if (size == 4)
      f(o, std::integral_constant<int, 4>{});
    else
      f(o, std::integral_constant<int, 1>{});
  }
}

/// Writes filter(o, c, t) in the order in which the tile reads it: [block][c][t][channel of the block].
template <class T, class Filter>
void pack_filters(std::int64_t out_channels, std::int64_t channels, std::int64_t taps, const Filter& filter,
                  T* to) {
  for_each_block(out_channels, [&](std::int64_t o, auto size) {
    for (std::int64_t c = 0; c < channels; ++c)
      for (std::int64_t t = 0; t < taps; ++t)
        for (std::int64_t k = 0; k < size; ++k) *to++ = filter(o + k, c, t);
  });
}

/// Filters in that order, in a workspace of their own.
template <class T>
class PackedFilters {
 public:
  template <class Filter>
  PackedFilters(std::int64_t out_channels, std::int64_t channels, std::int64_t taps, const Filter& filter)
      : packed_({out_channels * channels * taps}, dtype_of<T>(), Tag::workspace) {
    pack_filters(out_channels, channels, taps, filter, packed_.mutable_data<T>());
  }
  const T* data() const { return packed_.data<T>(); }

 private:
  Tensor packed_;
};

/// Calls f(channel of the block, vector) for each sum of a register tile.
template <int kBlock, class F>
[[gnu::always_inline]] inline void for_each_sum(const F& f) {
#pragma GCC unroll 8
  for (int k = 0; k < kBlock; ++k)
#pragma GCC unroll 4
    for (int v = 0; v < kTileVectors; ++v) f(k, v);
}

/// `pixels` outputs of kBlock channels, which are `plane` elements apart in y. bias may be null. Reads
/// source as if there were at least kTilePixels<T> pixels.
template <int kBlock, int kTaps, class Pixels, class T>
void convolve_block(const Taps<kTaps, Pixels>& taps, const T* source, const T* weights, const T* bias,
                    std::int64_t pixels, std::int64_t plane, T* y, Traffic& traffic) {
  const bool past_caches = traffic.past_caches;
  Lines<false> later = traffic.later;
  for (std::int64_t tile = 0; tile < pixels; tile += kTilePixels<T>) {
    // A last tile that would reach beyond the pixels begins earlier, and computes some of them again.
    const std::int64_t p = std::min(tile, std::max<std::int64_t>(pixels - kTilePixels<T>, 0));
    // Results are often far from the caches.
    Lines<true> results;
    if (!past_caches && p + kTilePixels<T> <= pixels) results = {y + p, kBlock, kTilePixels<T>, plane};
    Vec<T> sums[kBlock][kTileVectors];
    for_each_sum<kBlock>([&](int k, int v) { sums[k][v] = splat(bias != nullptr ? bias[k] : T{0}); });
    const T* from[kTileVectors];
#pragma GCC unroll 4
    for (int v = 0; v < kTileVectors; ++v) from[v] = taps.pixels.at(source, p + v * kLanes<T>);
    const T* w = weights;
    const auto add_channel = [&](auto fetches_results) {
      if constexpr (kTaps == 1) later.step();
      for (const std::int64_t offset : taps.offsets) {
        if constexpr (fetches_results.value) results.step();
        Vec<T> x[kTileVectors];
#pragma GCC unroll 4
        for (int v = 0; v < kTileVectors; ++v) x[v] = Pixels::load_run(from[v] + offset);
        for_each_sum<kBlock>([&](int k, int v) { sums[k][v] += w[k] * x[v]; });
        w += kBlock;
      }
#pragma GCC unroll 4
      for (int v = 0; v < kTileVectors; ++v) from[v] += taps.channel_stride;
    };
    std::int64_t c = 0;
    for (; c < taps.channels && !results.done(); ++c) add_channel(std::true_type{});
    for (; c < taps.channels; ++c) add_channel(std::false_type{});
    // Each case has constant indices into sums alone, or they would live in memory.
    const bool whole = p + kTilePixels<T> <= pixels;
    if (whole && past_caches) {
      for_each_sum<kBlock>([&](int k, int v) { stream<T>(y + k * plane + p + v * kLanes<T>, sums[k][v]); });
    } else if (whole) {
      for_each_sum<kBlock>([&](int k, int v) { store<T>(y + k * plane + p + v * kLanes<T>, sums[k][v]); });
    } else {
      T tile_pixels[kBlock][kTilePixels<T>];
      for_each_sum<kBlock>([&](int k, int v) { store<T>(tile_pixels[k] + v * kLanes<T>, sums[k][v]); });
      for (int k = 0; k < kBlock; ++k) std::copy(tile_pixels[k], tile_pixels[k] + pixels, y + k * plane);
    }
  }
  traffic.later = later;
}

template <int kBlock, int kTaps, class Pixels, class T>
void convolve_block(const Taps<kTaps, Pixels>& taps, const T* source, const T* weights, const T* bias,
                    std::int64_t pixels, std::int64_t plane, T* y) {
  Traffic traffic;
  convolve_block<kBlock>(taps, source, weights, bias, pixels, plane, y, traffic);
}

/// `pixels` outputs of all channels, from filters that were packed. bias may be null.
template <int kTaps, class Pixels, class T>
void convolve_tiles(const Taps<kTaps, Pixels>& taps, const T* source, const T* weights, const T* bias,
                    std::int64_t out_channels, std::int64_t pixels, std::int64_t plane, T* y,
                    Traffic traffic = {}) {
  for_each_block(out_channels, [&](std::int64_t o, auto size) {
    convolve_block<decltype(size)::value>(taps, source, weights + o * taps.channels * kTaps,
                                          bias != nullptr ? bias + o : nullptr, pixels, plane, y + o * plane,
                                          traffic);
  });
}

}  // namespace retrace::cpu
