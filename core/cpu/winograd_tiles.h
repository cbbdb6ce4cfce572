#pragma once
// Internal: how the tiles of images lie in vectors, for Winograd's convolutions.
#include <retrace/core/cpu/winograd.h>
#include <retrace/core/shape.h>

#include <cstring>

namespace retrace::cpu::winograd {

namespace strided {
class StridedVector;
}

/// v where the mask has all bits, zeros elsewhere.
[[gnu::always_inline]] inline Vec<float> keep(const Vec<float>& v, const Vec<std::int32_t>& mask) {
  // not a product with 0: a neighbour's NaN must not pass
  return reinterpret_cast<Vec<float>>(reinterpret_cast<Vec<std::int32_t>>(v) & mask);
}

/// Planes of h x w pixels, cut into tiles of kPixels x kPixels in the order (image, row, column), kLane tiles
/// a vector. `fits` says which w let no vector begin in the middle of a row of tiles.
template <int kPixels>
class Planes {
 public:
  static constexpr std::int64_t kVectorPixels = kPixels * kPixels * kLane;  ///< of a channel

  Planes(std::int64_t images, std::int64_t channels, std::int64_t height, std::int64_t width)
      : images_(images), channels_(channels), h_(height), w_(width) {
    const int columns = static_cast<int>(width) / kPixels;
    for (int k = 0; k < kLane; ++k) {
      has_left_[k] = k % columns != 0 ? -1 : 0;
      has_right_[k] = k % columns != columns - 1 ? -1 : 0;
    }
  }
  /// Of a tensor [n, channels, h, w].
  explicit Planes(const Shape& s) : Planes(s[0], s[1], s[2], s[3]) {}

  /// A row must have a power of two tiles, at most kLane and at least kLane / 8.
  static bool fits(std::int64_t height, std::int64_t width) {
    const std::int64_t columns = width / kPixels;
    return height % kPixels == 0 && width % kPixels == 0 && columns <= kLane && kLane % columns == 0 &&
           columns * 8 >= kLane;
  }

  std::int64_t channels() const { return channels_; }
  std::int64_t plane() const { return h_ * w_; }
  std::int64_t vectors() const { return (images_ * plane() + kVectorPixels - 1) / kVectorPixels; }

 private:
  friend class TileVector;
  friend class strided::StridedVector;
  std::int64_t images_, channels_, h_, w_;
  Vec<std::int32_t> has_left_, has_right_;  ///< all bits of a lane are set if its tile has this neighbour
};

using TilePlanes = Planes<kTile>;

/// One vector of tiles. A row of their pixels is 4 vectors of memory, each one or two runs of an image's row.
class TileVector {
 public:
  using Planes = TilePlanes;

  TileVector(const TilePlanes& planes, std::int64_t index) : planes_(&planes), halves_(planes.w_ < kLane) {
    const int runs = halves_ ? 2 * kTile : kTile;
    const std::int64_t rows = planes.h_ / kTile;
    for (int j = 0; j < runs; ++j) {
      const std::int64_t pixel = (index * runs + j) * (kLane * kTile / runs);  // counted along rows of tiles
      const std::int64_t row = pixel / planes.w_;
      const std::int64_t image = row / rows;
      const std::int64_t offset =
          image * planes.channels_ * planes.plane() + row % rows * kTile * planes.w_ + pixel % planes.w_;
      runs_[j] = {offset, row % rows == 0, row % rows == rows - 1, image < planes.images_};
    }
  }

  /// Columns of tiles from a row of their pixels as it lies in memory: d[k] holds column k of each tile, and
  /// zeros stand for what lies outside of the image.
  [[gnu::always_inline]] void columns_of(const Vec<float> (&pixels)[kTile], Vec<float> (&d)[kSide]) const {
    split_in_four<float>(pixels, &d[1]);
    d[0] = keep(previous_lanes<float>(d[4]), planes_->has_left_);
    d[5] = keep(next_lanes<float>(d[1]), planes_->has_right_);
  }

  /// Writes row r of the tiles' outputs, 0 <= r < 4, where y[k] holds column k of each tile: finish(v, j) for
  /// its vectors j = 0, ..., 3 as they lie in memory. Whole vectors may go past the caches.
  template <class Finish>
  [[gnu::always_inline]] void store_row(const Vec<float> (&y)[kTile], int r, float* channel, bool past_caches,
                                        const Finish& finish) const {
    Vec<float> pixels[kTile];
    join_four<float>(y, pixels);
#pragma GCC unroll 4
    for (int j = 0; j < kTile; ++j) store_part(finish(pixels[j], j), r, j, channel, past_caches);
  }

  /// Vector j of 4 of row r of the tiles' pixels, -1 <= r <= 4, as they lie in memory.
  [[gnu::always_inline]] Vec<float> load_part(const float* channel, int r, int j) const {
    const std::int64_t down = r * planes_->w_;
    if (!halves_) return runs_[j].has(r) ? load(channel + (runs_[j].offset + down)) : Vec<float>{};
    return join(load_half(channel, runs_[2 * j], r, down), load_half(channel, runs_[2 * j + 1], r, down),
                detail::kAllLanes<float>);
  }

 private:
  struct Run {
    std::int64_t offset;
    bool at_top, at_bottom, inside;
    bool has(int r) const { return inside && !(r < 0 && at_top) && !(r >= kTile && at_bottom); }
  };

  /// Half of a vector, for images of which a row is no more.
  typedef float Half __attribute__((vector_size(kVectorBytes / 2)));

  template <std::size_t... k>
  [[gnu::always_inline]] static Vec<float> join(const Half& low, const Half& high,
                                                std::index_sequence<k...>) {
    return __builtin_shufflevector(low, high, static_cast<int>(k)...);
  }

  [[gnu::always_inline]] static Half load_half(const float* channel, const Run& run, int r,
                                               std::int64_t down) {
    Half v{};
    if (run.has(r)) std::memcpy(&v, channel + (run.offset + down), sizeof v);
    return v;
  }

  [[gnu::always_inline]] void store_part(const Vec<float>& v, int r, int j, float* channel,
                                         bool past_caches) const {
    float* to = channel + r * planes_->w_;
    if (!halves_) {
      if (runs_[j].inside) write<float>(to + runs_[j].offset, v, past_caches);
      return;
    }
    if (runs_[2 * j].inside) std::memcpy(to + runs_[2 * j].offset, &v, sizeof v / 2);
    if (runs_[2 * j + 1].inside)
      std::memcpy(to + runs_[2 * j + 1].offset, reinterpret_cast<const char*>(&v) + sizeof v / 2,
                  sizeof v / 2);
  }

  const TilePlanes* planes_;
  bool halves_;
  Run runs_[2 * kTile] = {};
};

/// to[i] = (B^T d B)[i] for one channel; slabs i are `slab` elements apart.
inline void transform_input(const TileVector& tiles, const float* channel, float* to, std::int64_t slab) {
  Vec<float> rows[kSide][kTile];  // B^T d, with pixels where they are in memory
#pragma GCC unroll 4
  for (int j = 0; j < kTile; ++j) {
    Vec<float> column[kSide];
#pragma GCC unroll 6
    for (int r = 0; r < kSide; ++r) column[r] = tiles.load_part(channel, r - 1, j);
    input_side(column, 1, &rows[0][j], kTile);
  }
#pragma GCC unroll 6
  for (int r = 0; r < kSide; ++r) {
    Vec<float> d[kSide], row[kSide];
    tiles.columns_of(rows[r], d);
    input_side(d, 1, row, 1);
#pragma GCC unroll 6
    for (int k = 0; k < kSide; ++k) store<float>(to + (r * kSide + k) * slab, row[k]);
  }
}

}  // namespace retrace::cpu::winograd
