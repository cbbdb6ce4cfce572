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
#include <retrace/core/cpu/winograd.h>

namespace retrace::cpu::winograd::strided {

inline constexpr int kOdd = 5;             ///< products of the odd pixels of a row
inline constexpr int kPixels = 2 * kTile;  ///< pixels of a row of a tile of x

/// The points beside infinity are +-kNear and +-kFar: as cheap as 0, +-1 and +-2, and more exact.
inline constexpr float kNear = 0.5F;
inline constexpr float kFar = 1.25F;
inline constexpr float kNear2 = kNear * kNear;
inline constexpr float kFar2 = kFar * kFar;
inline constexpr float kNearScale = 1 / (2 * kNear * (kNear2 - kFar2));
inline constexpr float kFarScale = 1 / (2 * kFar * (kFar2 - kNear2));
/// Rows 0 to 4 see elements 0 and 2 of a filter, row 5 sees element 1.
inline constexpr float kG[kSide][3] = {
    {kNearScale, 0, kNearScale* kNear},
    {-kNearScale, 0, kNearScale* kNear},
    {kFarScale, 0, kFarScale* kFar},
    {-kFarScale, 0, kFarScale* kFar},
    {0, 0, 1},
    {0, 1, 0},
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

/// Calls f(group_slabs(r, s) as an integral constant).
template <class F>
void visit_group_slabs(int r, int s, const F& f) {
  if (r < kOdd && s < kOdd)
    f(std::integral_constant<int, 1>{});
  else if (r < kOdd || s < kOdd)
    f(std::integral_constant<int, kTile>{});
  else
    f(std::integral_constant<int, kTile * kTile>{});
}

/// Of rows, each kOdd products and kTile pixels: transforms the columns by side(column, step, to, to_step),
/// and calls put(r, s, slab, value) for what belongs into each slab: the results, and the first kTile rows in
/// row 5 of products.
template <int kRows, class Side, class Put>
[[gnu::always_inline]] inline void put_columns(const Vec<float> (&rows)[kRows][kOdd + kTile],
                                               const Side& side, const Put& put) {
#pragma GCC unroll 9
  for (int k = 0; k < kOdd + kTile; ++k) {
    const int s = k < kOdd ? k : kOdd;
    const std::int64_t slab = k < kOdd ? 0 : k - kOdd;
    Vec<float> column[kOdd];
    side(&rows[0][k], kOdd + kTile, column, 1);
#pragma GCC unroll 5
    for (int r = 0; r < kOdd; ++r) put(r, s, slab, column[r]);
#pragma GCC unroll 4
    for (int i = 0; i < kTile; ++i) put(kOdd, s, i * (k < kOdd ? 1 : kTile) + slab, rows[i][k]);
  }
}

/// How the groups of a vector of tiles lie: row by row, each as [channel][slab][lane], a cache line further
/// apart than its size. Of the rows and columns of odd pixels, those from kOnes on are left out. To be
/// captured as a copy by what stores into them: the compiler can't know that a store leaves this as it is.
template <int kOnes>
class GroupsOf {
 public:
  explicit GroupsOf(std::int64_t channels)
      : one_(slab_stride(channels, 1)),
        few_(slab_stride(channels, kTile)),
        many_(slab_stride(channels, kTile * kTile)) {}

  /// Elements of all groups.
  std::int64_t size() const { return kOnes * (row() + few_) + many_; }
  /// Where a group begins.
  [[gnu::always_inline]] std::int64_t at(int r, int s) const {
    return std::min(r, kOnes) * row() + std::min(s, kOnes) * (r < kOdd ? one_ : few_);
  }
  /// The first slab of a channel.
  [[gnu::always_inline]] std::int64_t at(int r, int s, std::int64_t channel) const {
    return at(r, s) + channel * group_slabs(r, s) * kLane;
  }

 private:
  /// Elements from row to row.
  [[gnu::always_inline]] std::int64_t row() const { return kOnes * one_ + few_; }

  std::int64_t one_, few_, many_;
};
using Groups = GroupsOf<kOdd>;

}  // namespace retrace::cpu::winograd::strided
