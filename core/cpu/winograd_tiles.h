#pragma once
// Internal: how the tiles of images lie in vectors, for Winograd's convolutions.
#include <retrace/core/cpu/winograd.h>
#include <retrace/core/shape.h>

#include <array>
#include <cstring>
#include <utility>

namespace retrace::cpu::winograd {

namespace strided {
class StridedVector;
}

/// In a vector of tiles, tile t is lane lane_of(t): where transpose_fours puts the pixels of a row of tiles,
/// kLane / 4 of them a vector of memory.
constexpr int lane_of(int tile) {
  constexpr int kFours = kLane / kTile;
  return tile % kFours * kTile + tile / kFours;
}
constexpr int tile_of(int lane) {
  constexpr int kFours = kLane / kTile;
  return lane % kTile * kFours + lane / kTile;
}

namespace detail {
/// The lanes of the tiles kBy further on, all in a ring.
template <int kBy, std::size_t... k>
[[gnu::always_inline]] inline Vec<float> neighbours(const Vec<float>& v, std::index_sequence<k...>) {
  return __builtin_shufflevector(v, v, lane_of((tile_of(k) + kBy + kLane) % kLane)...);
}
}  // namespace detail

/// Each tile's neighbour in a vector of them; the first and the last one's are of no meaning.
[[gnu::always_inline]] inline Vec<float> previous_tiles(const Vec<float>& v) {
  return detail::neighbours<-1>(v, cpu::detail::kAllLanes<float>);
}
[[gnu::always_inline]] inline Vec<float> next_tiles(const Vec<float>& v) {
  return detail::neighbours<1>(v, cpu::detail::kAllLanes<float>);
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
      const int column = tile_of(k) % columns;
      has_left_[k] = column != 0 ? -1 : 0;
      has_right_[k] = column != columns - 1 ? -1 : 0;
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
    const std::int64_t pixels = kLane * kTile / runs;  // of a run
    std::int64_t column = index * kLane * kTile % planes.w_;
    std::int64_t row = index * kLane * kTile / planes.w_;  // of tiles, in all images
    std::int64_t image = row / rows;
    row %= rows;
    for (int j = 0; j < runs; ++j) {
      runs_[j] = {image * planes.channels_ * planes.plane() + row * kTile * planes.w_ + column,
                  image < planes.images_ ? planes.w_ : 0, row == 0, row == rows - 1};
      column += pixels;
      if (column < planes.w_) continue;
      column = 0;
      if (++row < rows) continue;
      row = 0;
      ++image;
    }
  }

  /// Columns of tiles from a row of their pixels as it lies in memory: d[k] holds column k of each tile, and
  /// zeros stand for what lies outside of the image.
  [[gnu::always_inline]] void columns_of(const Vec<float> (&pixels)[kTile], Vec<float> (&d)[kSide]) const {
    transpose_fours<float>(pixels, &d[1]);
    d[0] = keep(previous_tiles(d[4]), planes_->has_left_);
    d[5] = keep(next_tiles(d[1]), planes_->has_right_);
  }

  /// Pixels of a row as they lie in memory from column k of each tile in y[k].
  [[gnu::always_inline]] static void pixels_of(const Vec<float> (&y)[kTile], Vec<float> (&pixels)[kTile]) {
    transpose_fours<float>(y, pixels);
  }

  /// Writes rows 0, ..., 3 of the tiles' pixels, 4 vectors each as they lie in memory. Whole vectors may go
  /// past the caches.
  [[gnu::always_inline]] void store_rows(const Vec<float> (&pixels)[kTile][kTile], float* channel,
                                         bool past_caches) const {
    if (halves_) return store_halves(pixels, channel);
#pragma GCC unroll 4
    for (int j = 0; j < kTile; ++j) {
      if (!runs_[j].inside()) continue;
      // One decision for all rows.
      if (past_caches) {
#pragma GCC unroll 4
        for (int r = 0; r < kTile; ++r) stream<float>(runs_[j].row(channel, r), pixels[r][j]);
      } else {
#pragma GCC unroll 4
        for (int r = 0; r < kTile; ++r) store<float>(runs_[j].row(channel, r), pixels[r][j]);
      }
    }
  }

  /// Vector j of 4 of row r of the tiles' pixels, -1 <= r <= 4, as they lie in memory.
  [[gnu::always_inline]] Vec<float> load_part(const float* channel, int r, int j) const {
    if (!halves_) return load(runs_[j].row(channel, r));
    return load_halves(runs_[2 * j].row(channel, r), runs_[2 * j + 1].row(channel, r));
  }

  /// The same of `channels` channels, `plane` elements apart, to kLane elements each.
  [[gnu::always_inline]] void copy_part(const float* channel, std::int64_t plane, std::int64_t channels,
                                        int r, int j, float* to) const {
    if (!halves_) return runs_[j].copy<Vec<float>>(channel, plane, channels, r, to);
    runs_[2 * j].copy<HalfVec>(channel, plane, channels, r, to);
    runs_[2 * j + 1].copy<HalfVec>(channel, plane, channels, r, to + kLane / 2);
  }

  /// The same for rows -1, ..., 4.
  [[gnu::always_inline]] void load_rows(const float* channel, int j, Vec<float> (&rows)[kSide]) const {
    // One decision for all rows.
    if (!halves_) {
#pragma GCC unroll 6
      for (int r = 0; r < kSide; ++r) rows[r] = load(runs_[j].row(channel, r - 1));
      return;
    }
#pragma GCC unroll 6
    for (int r = 0; r < kSide; ++r)
      rows[r] = load_halves(runs_[2 * j].row(channel, r - 1), runs_[2 * j + 1].row(channel, r - 1));
  }

 private:
  [[gnu::always_inline]] void store_halves(const Vec<float> (&pixels)[kTile][kTile], float* channel) const {
#pragma GCC unroll 4
    for (int j = 0; j < kTile; ++j)
#pragma GCC unroll 2
      for (int half = 0; half < 2; ++half) {
        const Run& run = runs_[2 * j + half];
        if (!run.inside()) continue;
#pragma GCC unroll 4
        for (int r = 0; r < kTile; ++r) {
          HalfVec v;
          std::memcpy(&v, reinterpret_cast<const char*>(&pixels[r][j]) + half * sizeof v, sizeof v);
          std::memcpy(run.row(channel, r), &v, sizeof v);
        }
      }
  }

  /// Zeros stand for rows that lie outside of the image.
  static constexpr float kZeros[kLane] = {};

  /// Pixels of an image's rows -1, ..., 4 from a row of tiles on.
  struct Run {
    std::int64_t offset;
    std::int64_t step;  ///< from row to row; 0 if the run lies behind the last image
    bool at_top, at_bottom;

    bool inside() const { return step != 0; }
    [[gnu::always_inline]] const float* row(const float* channel, int r) const {
      const float* first = inside() ? channel + offset : kZeros;
      return (r < 0 && at_top) || (r >= kTile && at_bottom) ? kZeros : first + r * step;
    }
    [[gnu::always_inline]] float* row(float* channel, int r) const { return channel + (offset + r * step); }

    /// A row of some channels, to kLane elements each: a vector, or half of one.
    template <class Pixels>
    [[gnu::always_inline]] void copy(const float* channel, std::int64_t plane, std::int64_t channels, int r,
                                     float* to) const {
      const float* from = row(channel, r);
      if (from == kZeros) plane = 0;
      for (std::int64_t k = 0; k < channels; ++k, from += plane, to += kLane) {
        Pixels pixels;
        std::memcpy(&pixels, from, sizeof pixels);
        std::memcpy(to, &pixels, sizeof pixels);
      }
    }
  };

  const TilePlanes* planes_;
  bool halves_;
  Run runs_[2 * kTile] = {};
};

/// The vectors of tiles from number `first` on.
template <std::size_t kVectors>
std::array<TileVector, kVectors> vectors_of(const TilePlanes& planes, std::int64_t first) {
  return [&]<std::size_t... q>(std::index_sequence<q...>) {
    return std::array{TileVector(planes, first + static_cast<std::int64_t>(q))...};
  }
  (std::make_index_sequence<kVectors>{});
}

/// to[i] = (B^T d B)[i] for one channel; slabs i are `slab` elements apart.
inline void transform_input(const TileVector& tiles, const float* channel, float* to, std::int64_t slab) {
  Vec<float> rows[kSide][kTile];  // B^T d, with pixels where they are in memory
#pragma GCC unroll 4
  for (int j = 0; j < kTile; ++j) {
    Vec<float> column[kSide];
    tiles.load_rows(channel, j, column);
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
