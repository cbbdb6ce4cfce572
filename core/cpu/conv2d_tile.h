#pragma once
// Internal: the register tile that convolutions without im2col share. The lanes of a vector are pixels.
// Planes are laid out such that the inputs of a filter element (a tap) for a run of output pixels are a run
// at a constant offset:
//   y[o][p] = sum over c, t of w[o][c][t] source[c][offset[t] + p]
#include <retrace/core/cpu/conv2d_traffic.h>

#include <algorithm>
#include <array>
#include <type_traits>

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

/// Returns f(size as an integral constant) for the first block of `left` output channels.
template <class F>
auto visit_block(std::int64_t left, const F& f) {
  const std::int64_t size = block_size(left);
  if (size == kTileChannels) return f(std::integral_constant<int, kTileChannels>{});
  if (size == 4) return f(std::integral_constant<int, 4>{});
  return f(std::integral_constant<int, 1>{});
}

/// Calls f(first channel, size as an integral constant) for each block of output channels.
template <class F>
void for_each_block(std::int64_t out_channels, const F& f) {
  for (std::int64_t o = 0; o < out_channels;)
    o += visit_block(out_channels - o, [&](auto size) {
      f(o, size);
      return std::int64_t{size};
    });
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

/// Where the outputs of a strip go: channels of y. With a residual, which is laid out as y and may be y
/// itself, they are residual + sign * them.
template <class T>
struct Outputs {
  T* y;
  std::int64_t pixels;       ///< of the strip
  std::int64_t plane;        ///< elements from a channel to the next
  bool past_caches = false;  ///< y, its planes and `pixels` are multiples of a vector
  const T* residual = nullptr;
  T sign = 1;
  std::int64_t written = 0;  ///< the strip's first pixels, which the strip before has written

  /// From a channel on.
  Outputs from(std::int64_t channel) const {
    Outputs outputs = *this;
    outputs.y += channel * plane;
    if (residual != nullptr) outputs.residual += channel * plane;
    return outputs;
  }
  /// What a sum becomes for the pixel at an offset.
  T finished(T sum, std::int64_t at) const { return residual != nullptr ? residual[at] + sign * sum : sum; }
};

/// The outputs of a batch [n, channels, h, w].
template <class T>
class BatchOutputs {
 public:
  BatchOutputs(const Tensor& x, Tensor& y, const kernel::Residual& residual = {})
      : image_(y.shape().numel_after(0)),
        width_(y.shape()[3]),
        whole_{y.mutable_data<T>(), 0, y.shape().numel_after(1), streams<T>(x, y, residual)} {
    if (!residual.value.defined()) return;
    whole_.residual = residual.value.data<T>();
    whole_.sign = static_cast<T>(residual.sign);
  }

  bool past_caches() const { return whole_.past_caches; }
  /// Rows of an image, of which the first ones may have been written before.
  Outputs<T> at(std::int64_t image, const Strip& strip, std::int64_t written_rows = 0) const {
    Outputs<T> outputs = whole_;
    const std::int64_t offset = image * image_ + strip.begin * width_;
    outputs.y += offset;
    if (outputs.residual != nullptr) outputs.residual += offset;
    outputs.pixels = strip.rows() * width_;
    outputs.written = written_rows * width_;
    return outputs;
  }

 private:
  std::int64_t image_, width_;
  Outputs<T> whole_;
};

/// Channels of a tile of inputs that stay in the first-level cache from one block of output channels to the
/// next. Of more, those some channels ahead are fetched.
inline constexpr std::int64_t kNearChannels = 96;
inline constexpr std::int64_t kChannelsAhead = 8;

/// Pixels that are copied for 1 x 1 filters before they are multiplied: half of the first-level cache.
template <class T>
inline constexpr std::int64_t kNearElements = (std::int64_t{16} << 10) / static_cast<std::int64_t>(sizeof(T));
/// They are, from planes as large as this at least and for so many output channels.
inline constexpr std::int64_t kApartPlaneBytes = 1024;
inline constexpr std::int64_t kManyOutputs = 48;

/// The outputs of kBlock channels. bias may be null. Reads source as if there were at least kTilePixels<T>
/// pixels.
template <int kBlock, bool kFar = false, int kTaps, class Pixels, class T>
void convolve_block(const Taps<kTaps, Pixels>& taps, const T* source, const T* weights, const T* bias,
                    const Outputs<T>& out, Lines<false>& later_reads) {
  Lines<false> later = later_reads;
  for (std::int64_t tile = 0; tile < out.pixels; tile += kTilePixels<T>) {
    // A last tile that would reach beyond the pixels begins earlier, and computes some of them again.
    const std::int64_t p = std::min(tile, std::max<std::int64_t>(out.pixels - kTilePixels<T>, 0));
    const std::int64_t end = std::min(p + kTilePixels<T>, out.pixels);
    // A residual that is y has only one value to be added to.
    const std::int64_t first = out.residual != nullptr ? std::min(std::max(tile, out.written), end) : p;
    const bool whole = end - first == kTilePixels<T>;
    // Results are often far from the caches.
    Lines<true> results;
    if (!out.past_caches && whole) results = {out.y + p, kBlock, kTilePixels<T>, out.plane};
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
        if constexpr (kFar)
#pragma GCC unroll 4
          for (int v = 0; v < kTileVectors; ++v)
            __builtin_prefetch(from[v] + kChannelsAhead * taps.channel_stride, 0, 3);
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
    const auto at = [&](int k, int v) { return k * out.plane + p + v * kLanes<T>; };
    if (whole && out.residual != nullptr)
      for_each_sum<kBlock>(
          [&](int k, int v) { sums[k][v] = load(out.residual + at(k, v)) + out.sign * sums[k][v]; });
    if (whole && out.past_caches) {
      for_each_sum<kBlock>([&](int k, int v) { stream<T>(out.y + at(k, v), sums[k][v]); });
    } else if (whole) {
      for_each_sum<kBlock>([&](int k, int v) { store<T>(out.y + at(k, v), sums[k][v]); });
    } else {
      T tile_pixels[kBlock][kTilePixels<T>];
      for_each_sum<kBlock>([&](int k, int v) { store<T>(tile_pixels[k] + v * kLanes<T>, sums[k][v]); });
      for (int k = 0; k < kBlock; ++k)
        for (std::int64_t i = first; i < end; ++i)
          out.y[k * out.plane + i] = out.finished(tile_pixels[k][i - p], k * out.plane + i);
    }
  }
  later_reads = later;
}

/// The outputs of all channels, from filters that were packed. bias may be null. Meanwhile inputs of a later
/// strip are fetched, here and in the next ones.
template <bool kFar, int kTaps, class Pixels, class T>
void convolve_blocks(const Taps<kTaps, Pixels>& taps, const T* source, const T* weights, const T* bias,
                     std::int64_t out_channels, const Outputs<T>& out, Lines<false>& later) {
  for_each_block(out_channels, [&](std::int64_t o, auto size) {
    convolve_block<decltype(size)::value, kFar>(taps, source, weights + o * taps.channels * kTaps,
                                                bias != nullptr ? bias + o : nullptr, out.from(o), later);
  });
}

/// The same for 1 x 1 filters, some pixels at a time, which are copied first: those of planes that are far
/// apart share few sets of the first-level cache, and would come from the second for each block.
template <class T>
void convolve_copies(const Taps<1>& taps, const T* source, const T* weights, const T* bias,
                     std::int64_t out_channels, const Outputs<T>& out, Lines<false>& later) {
  alignas(kVectorBytes) T near[kNearElements<T>];
  const std::int64_t most =
      std::min(out.pixels, kNearElements<T> / taps.channels / kTilePixels<T> * kTilePixels<T>);
  for (std::int64_t p = 0; p < out.pixels; p += most) {
    // The last pixels are some of those before, too, so that tiles are full.
    const std::int64_t begin = std::min(p, out.pixels - most);
    for (std::int64_t c = 0; c < taps.channels; ++c)
      std::copy_n(source + c * taps.channel_stride + begin, most, near + c * most);
    Outputs<T> part = out;
    part.y += begin;
    if (part.residual != nullptr) part.residual += begin;
    part.pixels = most;
    part.written = std::clamp<std::int64_t>(std::max(out.written, p) - begin, 0, most);
    convolve_blocks<false>(Taps<1>{taps.channels, most, {0}}, near, weights, bias, out_channels, part, later);
  }
}

/// Whichever of them takes less time.
template <int kTaps, class Pixels, class T>
void convolve_tiles(const Taps<kTaps, Pixels>& taps, const T* source, const T* weights, const T* bias,
                    std::int64_t out_channels, const Outputs<T>& out, Lines<false> later = {}) {
  if constexpr (std::is_same_v<Taps<kTaps, Pixels>, Taps<1>>) {
    const bool fits = taps.channels * kTilePixels<T> <= kNearElements<T> && out.pixels >= kTilePixels<T>;
    const bool apart = taps.channel_stride * static_cast<std::int64_t>(sizeof(T)) >= kApartPlaneBytes;
    if (fits && apart && out_channels >= kManyOutputs)
      return convolve_copies(taps, source, weights, bias, out_channels, out, later);
  }
  if (kTaps == 1 && taps.channels > kNearChannels)
    convolve_blocks<kTaps == 1>(taps, source, weights, bias, out_channels, out, later);
  else
    convolve_blocks<false>(taps, source, weights, bias, out_channels, out, later);
}

}  // namespace retrace::cpu
