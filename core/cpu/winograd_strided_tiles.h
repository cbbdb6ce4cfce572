#pragma once
// Internal: the tiles of x for 3 x 3 filters with stride 2 and padding 1 (winograd_strided.h).
#include <retrace/core/cpu/winograd_strided.h>
#include <retrace/core/cpu/winograd_tiles.h>

namespace retrace::cpu::winograd::strided {

/// Planes of x: tiles of 8 x 8 pixels, in the order of the tiles of y.
using StridedPlanes = Planes<kPixels>;

/// One vector of tiles of x. A row of their pixels is 8 vectors of memory, each a run of an image's row.
class StridedVector {
 public:
  using Planes = StridedPlanes;

  StridedVector(const StridedPlanes& planes, std::int64_t index) : planes_(&planes) {
    const std::int64_t rows = planes.h_ / kPixels;
    for (int j = 0; j < kPixels; ++j) {
      const std::int64_t pixel = (index * kPixels + j) * kLane;  // counted along rows of tiles
      const std::int64_t row = pixel / planes.w_;
      const std::int64_t image = row / rows;
      runs_[j] = {
          image * planes.channels_ * planes.plane() + row % rows * kPixels * planes.w_ + pixel % planes.w_,
          row % rows == 0, true};
      if (image >= planes.images_) runs_[j] = {0, true, false};  // what is there is as good as anything
    }
  }

  /// Vector j of 8 of row r of the tiles' pixels, -1 <= r < 8, as they lie in memory; zeros stand for what
  /// lies outside of the image. Tiles behind the last image have pixels of the first.
  [[gnu::always_inline]] Vec<float> load_part(const float* channel, int r, int j) const {
    static constexpr float kZeros[kLane] = {};
    return load(r < 0 && runs_[j].at_top ? kZeros : channel + (runs_[j].offset + r * planes_->w_));
  }

  /// Columns of tiles from a row of pixels as it lies in memory: odd[k] holds column 2k - 1 of each tile,
  /// even[k] column 2k.
  [[gnu::always_inline]] void split(const Vec<float> (&pixels)[kPixels], Vec<float> (&odd)[kOdd],
                                    Vec<float> (&even)[kTile]) const {
    Vec<float> evens[kTile], odds[kTile];
#pragma GCC unroll 4
    for (int j = 0; j < kTile; ++j) {
      evens[j] = even_lanes<float>(pixels[2 * j], pixels[2 * j + 1]);
      odds[j] = odd_lanes<float>(pixels[2 * j], pixels[2 * j + 1]);
    }
    transpose_fours<float>(evens, even);
    transpose_fours<float>(odds, &odd[1]);
    odd[0] = keep(previous_tiles(odd[kTile]), planes_->has_left_);
  }

  /// Writes row r of the tiles' pixels, 0 <= r < 8, from their columns, maybe past the caches.
  [[gnu::always_inline]] void store_row(const Vec<float>* odd, const Vec<float>* even, int r, float* channel,
                                        bool past_caches) const {
    Vec<float> evens[kTile], odds[kTile];
    transpose_fours<float>(even, evens);
    transpose_fours<float>(odd, odds);
#pragma GCC unroll 4
    for (int j = 0; j < kTile; ++j) {
      store_part(zip_low<float>(evens[j], odds[j]), r, 2 * j, channel, past_caches);
      store_part(zip_high<float>(evens[j], odds[j]), r, 2 * j + 1, channel, past_caches);
    }
  }

 private:
  struct Run {
    std::int64_t offset;
    bool at_top, inside;
  };

  [[gnu::always_inline]] void store_part(const Vec<float>& v, int r, int j, float* channel,
                                         bool past_caches) const {
    if (runs_[j].inside) write<float>(channel + (runs_[j].offset + r * planes_->w_), v, past_caches);
  }

  const StridedPlanes* planes_;
  Run runs_[kPixels] = {};
};

/// The transformed pixels of channel c of x, whose first pixel is at `channel`.
inline void transform_input(const StridedVector& tiles, const float* channel, std::int64_t c, Groups groups,
                            float* v) {
  Vec<float> rows[kOdd][kPixels];  // B^T of the odd rows, with pixels where they are in memory
#pragma GCC unroll 8
  for (int j = 0; j < kPixels; ++j) {
    Vec<float> column[kOdd];
#pragma GCC unroll 5
    for (int r = 0; r < kOdd; ++r) column[r] = tiles.load_part(channel, 2 * r - 1, j);
    input_side(column, 1, &rows[0][j], kPixels);
  }
  const auto put = [&](const Vec<float>(&pixels)[kPixels], int r, int slab) {
    Vec<float> odd[kOdd], even[kTile], products[kOdd];
    tiles.split(pixels, odd, even);
    input_side(odd, 1, products, 1);
#pragma GCC unroll 5
    for (int s = 0; s < kOdd; ++s) store<float>(v + groups.at(r, s, c) + slab * kLane, products[s]);
#pragma GCC unroll 4
    for (int s = 0; s < kTile; ++s)
      store<float>(v + groups.at(r, kOdd, c) + ((r < kOdd ? 0 : kTile * slab) + s) * kLane, even[s]);
  };
#pragma GCC unroll 5
  for (int r = 0; r < kOdd; ++r) put(rows[r], r, 0);
#pragma GCC unroll 4
  for (int i = 0; i < kTile; ++i) {
    Vec<float> pixels[kPixels];
#pragma GCC unroll 8
    for (int j = 0; j < kPixels; ++j) pixels[j] = tiles.load_part(channel, 2 * i, j);
    put(pixels, kOdd, i);
  }
}

}  // namespace retrace::cpu::winograd::strided
