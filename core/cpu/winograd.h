#pragma once
// Internal: Winograd's F(4 x 4, 3 x 3), the transforms and the way tiles lie in vectors.
//
// A tile of 4 x 4 outputs sees 6 x 6 inputs d. With Y = A^T [(G w G^T) * (B^T d B)] A, where * multiplies
// element by element, it takes 36 products for each pair of channels in place of 144. S. Winograd,
// "Arithmetic Complexity of Computations", 1980; A. Lavin and S. Gray, "Fast algorithms for convolutional
// neural networks", 2016. The points are 0, +-sqrt(1/2), +-sqrt(2) and infinity: as cheap as 0, +-1, +-2,
// infinity, with half of their error.
#include <retrace/core/cpu/simd.h>

#include <algorithm>
#include <cstdint>

namespace retrace::cpu::winograd {

inline constexpr int kTile = 4;               ///< outputs of a tile, in each direction
inline constexpr int kSide = 6;               ///< its inputs, in each direction
inline constexpr int kSlabs = kSide * kSide;  ///< its products
inline constexpr int kLane = kLanes<float>;

/// The points beside 0 and infinity are +-kNear and +-kFar.
inline constexpr float kNear = 0.70710678F;
inline constexpr float kFar = 1.41421356F;
inline constexpr float kG[kSide][3] = {
    {1, 0, 0},
    {-2 / 3.F, -2 / 3.F * kNear, -1 / 3.F},
    {-2 / 3.F, 2 / 3.F * kNear, -1 / 3.F},
    {1 / 6.F, kFar / 6, 1 / 3.F},
    {1 / 6.F, -kFar / 6, 1 / 3.F},
    {0, 0, 1},
};

/// to = B^T d for one column (or row) of d; elements are `step` and `to_step` apart.
[[gnu::always_inline]] inline void input_side(const Vec<float>* d, int step, Vec<float>* to, int to_step) {
  const Vec<float> even_near = d[4 * step] - 2 * d[2 * step];
  const Vec<float> odd_near = d[3 * step] - 2 * d[step];
  const Vec<float> even_far = d[4 * step] - 0.5F * d[2 * step];
  const Vec<float> odd_far = d[3 * step] - 0.5F * d[step];
  to[0] = d[0] + d[4 * step] - 2.5F * d[2 * step];
  to[to_step] = even_near + kNear * odd_near;
  to[2 * to_step] = even_near - kNear * odd_near;
  to[3 * to_step] = even_far + kFar * odd_far;
  to[4 * to_step] = even_far - kFar * odd_far;
  to[5 * to_step] = d[step] + d[5 * step] - 2.5F * d[3 * step];
}

/// to = A^T m for one column (or row) of m.
[[gnu::always_inline]] inline void output_side(const Vec<float>* m, int step, Vec<float>* to, int to_step) {
  const Vec<float> near_sum = m[step] + m[2 * step];
  const Vec<float> near_difference = m[step] - m[2 * step];
  const Vec<float> far_sum = m[3 * step] + m[4 * step];
  const Vec<float> far_difference = m[3 * step] - m[4 * step];
  to[0] = m[0] + near_sum + far_sum;
  to[to_step] = kNear * near_difference + kFar * far_difference;
  to[2 * to_step] = 0.5F * near_sum + 2 * far_sum;
  to[3 * to_step] = kNear / 2 * near_difference + 2 * kFar * far_difference + m[5 * step];
}

/// to = A y for one column (or row) of y: the adjoint of output_side.
[[gnu::always_inline]] inline void gradient_side(const Vec<float>* y, int step, Vec<float>* to, int to_step) {
  const Vec<float> even_near = y[0] + 0.5F * y[2 * step];
  const Vec<float> odd_near = kNear * (y[step] + 0.5F * y[3 * step]);
  const Vec<float> even_far = y[0] + 2 * y[2 * step];
  const Vec<float> odd_far = kFar * (y[step] + 2 * y[3 * step]);
  to[0] = y[0];
  to[to_step] = even_near + odd_near;
  to[2 * to_step] = even_near - odd_near;
  to[3 * to_step] = even_far + odd_far;
  to[4 * to_step] = even_far - odd_far;
  to[5 * to_step] = y[3 * step];
}

/// Planes of h x w pixels, cut into tiles in the order (image, row, column), kLane tiles a vector. w / 4 is a
/// power of two, at most kLane and at least an eighth of kLane: see `fits`.
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
  TileVector() = default;
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

  /// Vector j of 4 of row r of the tiles' pixels, -1 <= r <= 4, as they lie in memory.
  [[gnu::always_inline]] Vec<float> load_part(const float* channel, int r, int j) const {
    const float* row = channel + r * planes_->w_;
    if (!halves_) return runs_[j].has(r) ? load(row + runs_[j].offset) : Vec<float>{};
    return join(half(runs_[2 * j], row, r), half(runs_[2 * j + 1], row, r), detail::kAllLanes<float>);
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

  [[gnu::always_inline]] static Half half(const Run& run, const float* row, int r) {
    Half v{};
    if (run.has(r)) std::memcpy(&v, row + run.offset, sizeof v);
    return v;
  }

  [[gnu::always_inline]] static Vec<float> keep(const Vec<float>& v, const Vec<std::int32_t>& mask) {
    return (Vec<float>)((Vec<std::int32_t>)v & mask);  // a NaN or inf of the neighbour's image must not pass
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

  const TilePlanes* planes_ = nullptr;
  bool halves_ = false;
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

/// Vectors of tiles that go through the transforms and the products together.
inline constexpr std::int64_t kUnitVectors = kVectorBytes == 64 ? 4 : 2;

/// Elements between two slabs of a unit: slabs a power of two apart would share sets of the first level
/// cache.
inline std::int64_t slab_stride(std::int64_t channels, std::int64_t vectors) {
  return (channels * vectors + 1) * kLane;
}

/// The most vectors a unit may have, such that slabs of this many channels stay in a core's cache.
inline std::int64_t unit_vectors(std::int64_t channels) {
  constexpr std::int64_t kUnitBytes = std::int64_t{640} << 10;
  std::int64_t most = kUnitVectors;
  while (most > 1 && kSlabs * channels * most * kVectorBytes > kUnitBytes) most /= 2;
  return most;
}

/// Calls f(begin, end) for units of at most `most` vectors of [begin, end), of about equal size.
template <class F>
void for_each_unit(std::int64_t begin, std::int64_t end, std::int64_t most, const F& f) {
  const std::int64_t units = (end - begin + most - 1) / most;
  for (std::int64_t k = 0; k < units; ++k)
    f(begin + (end - begin) * k / units, begin + (end - begin) * (k + 1) / units);
}

}  // namespace retrace::cpu::winograd
