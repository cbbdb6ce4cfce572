#pragma once
// Internal: 3 x 3 filters with stride 2 and padding 1 as Winograd's F(4 x 4, 2 x 2) on the phases of x.
//
// Output i of a row sees pixels 2i - 1, 2i and 2i + 1: of the odd pixels those at i - 1 and i, with the
// filter's elements 0 and 2, and of the even ones that at i, with element 1. So the convolution is a sum of
// four with stride 1, of the odd or even rows and columns of x and filters of 2 x 2, 2 x 1, 1 x 2 and 1
// elements. For 4 outputs of a row, 2 elements take the 5 products of F(4, 2) and 1 element takes 4: a tile
// takes (5 + 4)^2 = 81 for each pair of channels in place of 144.
//
// Rows and columns of products are numbered 0 to 4 (F(4, 2)) and 5 (the even pixels, 4 of them). The 4 or 16
// slabs of products that share row and column share their filter, and lie together: a group.
#include <retrace/core/cpu/winograd_tiles.h>

namespace retrace::cpu::winograd::strided {

inline constexpr int kOdd = 5;            ///< products of the odd pixels of a row
inline constexpr int kPixels = 2 * kTile; ///< pixels of a row of a tile of x

/// The points beside infinity are +-kNear and +-kFar: half of the error of 0, +-1, +-2.
inline constexpr float kNear = 0.5F;
inline constexpr float kFar = 1.25F;
inline constexpr float kNear2 = kNear * kNear;
inline constexpr float kFar2 = kFar * kFar;
inline constexpr float kNearScale = 1 / (2 * kNear * (kNear2 - kFar2));
inline constexpr float kFarScale = 1 / (2 * kFar * (kFar2 - kNear2));
/// Rows 0 to 4 see elements 0 and 2 of a filter, row 5 sees element 1.
inline constexpr float kG[kSide][3] = {
    {kNearScale, 0, kNearScale* kNear}, {-kNearScale, 0, kNearScale* kNear}, {kFarScale, 0, kFarScale* kFar},
    {-kFarScale, 0, kFarScale* kFar},   {0, 0, 1},                           {0, 1, 0},
};

/// to = B^T d for 5 odd pixels d of a column (or row); elements are `step` and `to_step` apart.
[[gnu::always_inline]] inline void input_side(const Vec<float>* d, int step, Vec<float>* to, int to_step) {
  const Vec<float> even_near = d[2 * step] - kFar2 * d[0];
  const Vec<float> odd_near = d[3 * step] - kFar2 * d[step];
  const Vec<float> even_far = d[2 * step] - kNear2 * d[0];
  const Vec<float> odd_far = d[3 * step] - kNear2 * d[step];
  to[0] = odd_near + kNear * even_near;
  to[to_step] = odd_near - kNear * even_near;
  to[2 * to_step] = odd_far + kFar * even_far;
  to[3 * to_step] = odd_far - kFar * even_far;
  to[4 * to_step] = d[4 * step] + kNear2 * kFar2 * d[0] - (kNear2 + kFar2) * d[2 * step];
}

/// to = A^T m for 5 products of a column (or row).
[[gnu::always_inline]] inline void output_side(const Vec<float>* m, int step, Vec<float>* to, int to_step) {
  const Vec<float> near_sum = m[0] + m[step];
  const Vec<float> near_difference = m[0] - m[step];
  const Vec<float> far_sum = m[2 * step] + m[3 * step];
  const Vec<float> far_difference = m[2 * step] - m[3 * step];
  to[0] = near_sum + far_sum;
  to[to_step] = kNear * near_difference + kFar * far_difference;
  to[2 * to_step] = kNear2 * near_sum + kFar2 * far_sum;
  to[3 * to_step] = m[4 * step] + kNear * kNear2 * near_difference + kFar * kFar2 * far_difference;
}

/// to = A y for 4 outputs of a column (or row): the adjoint of output_side.
[[gnu::always_inline]] inline void gradient_side(const Vec<float>* y, int step, Vec<float>* to, int to_step) {
  const Vec<float> even_near = y[0] + kNear2 * y[2 * step];
  const Vec<float> odd_near = kNear * (y[step] + kNear2 * y[3 * step]);
  const Vec<float> even_far = y[0] + kFar2 * y[2 * step];
  const Vec<float> odd_far = kFar * (y[step] + kFar2 * y[3 * step]);
  to[0] = even_near + odd_near;
  to[to_step] = even_near - odd_near;
  to[2 * to_step] = even_far + odd_far;
  to[3 * to_step] = even_far - odd_far;
  to[4 * to_step] = y[3 * step];
}

/// The products of a tile.
inline constexpr std::int64_t kProducts = (kOdd + kTile) * (kOdd + kTile);

/// Slabs of the group in row r and column s of products.
constexpr int group_slabs(int r, int s) { return (r < kOdd ? 1 : kTile) * (s < kOdd ? 1 : kTile); }

/// How the groups of a vector of tiles lie: each as [channel][slab][lane], a cache line further apart than its
/// size.
class Groups {
 public:
  explicit Groups(std::int64_t channels) {
    for (int r = 0, group = 0; r < kSide; ++r)
      for (int s = 0; s < kSide; ++s, ++group) {
        at_[group] = size_;
        size_ += slab_stride(channels, group_slabs(r, s));
      }
  }

  /// Elements of all groups.
  std::int64_t size() const { return size_; }
  /// Where a group begins.
  [[gnu::always_inline]] std::int64_t at(int r, int s) const { return at_[r * kSide + s]; }
  /// The first slab of a channel.
  [[gnu::always_inline]] std::int64_t at(int r, int s, std::int64_t channel) const {
    return at(r, s) + channel * group_slabs(r, s) * kLane;
  }

 private:
  std::int64_t at_[kSlabs] = {};
  std::int64_t size_ = 0;
};

/// Planes of x: tiles of 8 x 8 pixels, in the order of the tiles of y.
class StridedPlanes {
 public:
  StridedPlanes(std::int64_t images, std::int64_t channels, std::int64_t height, std::int64_t width)
      : images_(images), h_(height), w_(width), image_stride_(channels * height * width) {
    for (int k = 0; k < kLane; ++k) has_left_[k] = k % (static_cast<int>(width) / kPixels) != 0 ? -1 : 0;
  }

  std::int64_t plane() const { return h_ * w_; }

 private:
  friend class StridedVector;
  std::int64_t images_, h_, w_, image_stride_;
  Vec<std::int32_t> has_left_;  ///< all bits of a lane are set if its tile has this neighbour
};

/// One vector of tiles of x. A row of their pixels is 8 vectors of memory, each a run of an image's row.
class StridedVector {
 public:
  using Planes = StridedPlanes;
  static constexpr int kRows = kPixels;
  StridedVector(const StridedPlanes& planes, std::int64_t index) : planes_(&planes) {
    const std::int64_t rows = planes.h_ / kPixels;
    for (int j = 0; j < kPixels; ++j) {
      const std::int64_t pixel = (index * kPixels + j) * kLane;  // counted along rows of tiles
      const std::int64_t row = pixel / planes.w_;
      const std::int64_t image = row / rows;
      runs_[j] = {image * planes.image_stride_ + row % rows * kPixels * planes.w_ + pixel % planes.w_,
                  row % rows == 0, true};
      if (image >= planes.images_) runs_[j] = {0, true, false};  // what is there is as good as anything
    }
  }

  /// Vector j of 8 of row r of the tiles' pixels, -1 <= r < 8, as they lie in memory; zeros stand for what lies
  /// outside of the image. Tiles behind the last image have pixels of the first.
  [[gnu::always_inline]] Vec<float> load_part(const float* channel, int r, int j) const {
    static constexpr float kZeros[kLane] = {};
    const float* from = channel + (runs_[j].offset + r * planes_->w_);
    return load(r < 0 && runs_[j].at_top ? kZeros : from);
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
    split_in_four(evens, even);
    split_in_four(odds, &odd[1]);
    odd[0] = keep(previous_lanes<float>(odd[kTile]), planes_->has_left_);
  }

  /// Asks for the cache lines of row r of the tiles' pixels.
  template <bool kToWrite>
  [[gnu::always_inline]] void fetch_row(const float* channel, int r) const {
    for (const Run& run : runs_)
      if (run.inside) __builtin_prefetch(channel + (run.offset + r * planes_->w_), kToWrite ? 1 : 0, 2);
  }

  /// Writes row r of the tiles' pixels, 0 <= r < 8, from their columns.
  [[gnu::always_inline]] void store_row(const Vec<float>* odd, const Vec<float>* even, int r,
                                        float* channel) const {
    Vec<float> evens[kTile], odds[kTile];
    join_four(even, evens);
    join_four(odd, odds);
#pragma GCC unroll 4
    for (int j = 0; j < kTile; ++j) {
      store_part(zip_low<float>(evens[j], odds[j]), r, 2 * j, channel);
      store_part(zip_high<float>(evens[j], odds[j]), r, 2 * j + 1, channel);
    }
  }

 private:
  struct Run {
    std::int64_t offset;
    bool at_top, inside;
  };

  /// to[k] = lanes k, k + 4, k + 8, ... of 4 vectors.
  [[gnu::always_inline]] static void split_in_four(const Vec<float>* from, Vec<float>* to) {
    const Vec<float> even[2] = {even_lanes<float>(from[0], from[1]), even_lanes<float>(from[2], from[3])};
    const Vec<float> odd[2] = {odd_lanes<float>(from[0], from[1]), odd_lanes<float>(from[2], from[3])};
    to[0] = even_lanes<float>(even[0], even[1]);
    to[1] = even_lanes<float>(odd[0], odd[1]);
    to[2] = odd_lanes<float>(even[0], even[1]);
    to[3] = odd_lanes<float>(odd[0], odd[1]);
  }

  /// The inverse of split_in_four.
  [[gnu::always_inline]] static void join_four(const Vec<float>* from, Vec<float>* to) {
    const Vec<float> even[2] = {zip_low<float>(from[0], from[2]), zip_high<float>(from[0], from[2])};
    const Vec<float> odd[2] = {zip_low<float>(from[1], from[3]), zip_high<float>(from[1], from[3])};
    to[0] = zip_low<float>(even[0], odd[0]);
    to[1] = zip_high<float>(even[0], odd[0]);
    to[2] = zip_low<float>(even[1], odd[1]);
    to[3] = zip_high<float>(even[1], odd[1]);
  }

  [[gnu::always_inline]] void store_part(const Vec<float>& v, int r, int j, float* channel) const {
    if (runs_[j].inside) store<float>(channel + (runs_[j].offset + r * planes_->w_), v);
  }

  const StridedPlanes* planes_;
  Run runs_[kPixels] = {};
};

/// The products' factors of one channel of x; v is where the channel's begin.
inline void transform_input(const StridedVector& tiles, const float* channel, std::int64_t c, const Groups& groups, float* v) {
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
