#pragma once
// Internal: how the tiles of images lie in vectors, for Winograd's F(4 x 4, 3 x 3).
#include <retrace/core/cpu/winograd.h>

#include <cstring>

namespace retrace::cpu::winograd {

/// v where the mask has all bits, zeros elsewhere.
[[gnu::always_inline]] inline Vec<float> keep(const Vec<float>& v, const Vec<std::int32_t>& mask) {
  // not a product with 0: a neighbour's NaN must not pass
  return reinterpret_cast<Vec<float>>(reinterpret_cast<Vec<std::int32_t>>(v) & mask);
}

/// Planes of h x w pixels, cut into tiles in the order (image, row, column), kLane tiles a vector. `fits`
/// says which w let no vector begin in the middle of a row of tiles.
class TilePlanes {
 public:
  TilePlanes(std::int64_t images, std::int64_t channels, std::int64_t height, std::int64_t width)
      : images_(images), h_(height), w_(width), image_stride_(channels * height * width) {
    const int columns = static_cast<int>(width) / kTile;
    for (int k = 0; k < kLane; ++k) {
      has_left_[k] = k % columns != 0 ? -1 : 0;
      has_right_[k] = k % columns != columns - 1 ? -1 : 0;
    }
  }

  /// w / 4 must be a power of two, at most kLane, and w at least half of kLane.
  static bool fits(std::int64_t height, std::int64_t width) {
    const std::int64_t columns = width / kTile;
    return height % kTile == 0 && width % kTile == 0 && columns <= kLane && kLane % columns == 0 &&
           width >= kLane / 2;
  }

  std::int64_t plane() const { return h_ * w_; }
  std::int64_t vectors() const {
    return (images_ * plane() + kTile * kTile * kLane - 1) / (kTile * kTile * kLane);
  }

 private:
  friend class TileVector;
  std::int64_t images_, h_, w_, image_stride_;
  Vec<std::int32_t> has_left_, has_right_;  ///< all bits of a lane are set if its tile has this neighbour
};

/// One vector of tiles. A row of their pixels is 4 vectors of memory, each one or two runs of an image's row.
class TileVector {
 public:
  using Planes = TilePlanes;
  static constexpr int kRows = kTile;
  TileVector(const TilePlanes& planes, std::int64_t index) : planes_(&planes), halves_(planes.w_ < kLane) {
    const int runs = halves_ ? 2 * kTile : kTile;
    const std::int64_t rows = planes.h_ / kTile;
    for (int j = 0; j < runs; ++j) {
      const std::int64_t pixel = (index * runs + j) * (kLane * kTile / runs);  // counted along rows of tiles
      const std::int64_t row = pixel / planes.w_;
      const std::int64_t image = row / rows;
      const std::int64_t offset =
          image * planes.image_stride_ + row % rows * kTile * planes.w_ + pixel % planes.w_;
      runs_[j] = {offset, row % rows == 0, row % rows == rows - 1, image < planes.images_};
    }
  }

  /// Row r of the tiles' inputs, 0 <= r < 6, of a channel: d[k] holds column k of each tile, and zeros stand
  /// for what lies outside of the image.
  [[gnu::always_inline]] void load_row(const float* channel, int r, Vec<float> (&d)[kSide]) const {
    Vec<float> pixels[kTile];
#pragma GCC unroll 4
    for (int j = 0; j < kTile; ++j) pixels[j] = load_part(channel, r - 1, j);
    const Vec<float> even[2] = {even_lanes<float>(pixels[0], pixels[1]),
                                even_lanes<float>(pixels[2], pixels[3])};
    const Vec<float> odd[2] = {odd_lanes<float>(pixels[0], pixels[1]),
                               odd_lanes<float>(pixels[2], pixels[3])};
    d[1] = even_lanes<float>(even[0], even[1]);
    d[2] = even_lanes<float>(odd[0], odd[1]);
    d[3] = odd_lanes<float>(even[0], even[1]);
    d[4] = odd_lanes<float>(odd[0], odd[1]);
    d[0] = keep(previous_lanes<float>(d[4]), planes_->has_left_);
    d[5] = keep(next_lanes<float>(d[1]), planes_->has_right_);
  }

  /// Writes row r of the tiles' outputs, 0 <= r < 4; y[k] holds column k of each tile.
  [[gnu::always_inline]] void store_row(const Vec<float> (&y)[kTile], int r, float* channel) const {
    const Vec<float> even[2] = {zip_low<float>(y[0], y[2]), zip_high<float>(y[0], y[2])};
    const Vec<float> odd[2] = {zip_low<float>(y[1], y[3]), zip_high<float>(y[1], y[3])};
    store_part(zip_low<float>(even[0], odd[0]), r, 0, channel);
    store_part(zip_high<float>(even[0], odd[0]), r, 1, channel);
    store_part(zip_low<float>(even[1], odd[1]), r, 2, channel);
    store_part(zip_high<float>(even[1], odd[1]), r, 3, channel);
  }

  /// Asks for the cache lines of row r of the tiles' pixels.
  template <bool kToWrite>
  [[gnu::always_inline]] void fetch_row(const float* channel, int r) const {
    for (int j = 0; j < (halves_ ? 2 * kTile : kTile); ++j)
      if (runs_[j].inside)
        __builtin_prefetch(channel + (runs_[j].offset + r * planes_->w_), kToWrite ? 1 : 0, 2);
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

  [[gnu::always_inline]] void store_part(const Vec<float>& v, int r, int j, float* channel) const {
    float* to = channel + r * planes_->w_;
    if (!halves_) {
      if (runs_[j].inside) store<float>(to + runs_[j].offset, v);
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
  Vec<float> rows[kSide][kSide];
#pragma GCC unroll 6
  for (int r = 0; r < kSide; ++r) {
    Vec<float> d[kSide];
    tiles.load_row(channel, r, d);
    input_side(d, 1, rows[r], 1);
  }
#pragma GCC unroll 6
  for (int k = 0; k < kSide; ++k) {
    Vec<float> column[kSide];
    input_side(&rows[0][k], kSide, column, 1);
#pragma GCC unroll 6
    for (int r = 0; r < kSide; ++r) store<float>(to + (r * kSide + k) * slab, column[r]);
  }
}

}  // namespace retrace::cpu::winograd
