#pragma once
// Internal: Winograd's F(4 x 4, 3 x 3): its transforms, and how much of it goes through a core's cache at
// once.
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

/// Vectors of tiles that go through the transforms and the products together.
inline constexpr std::int64_t kUnitVectors = kVectorBytes == 64 ? 4 : 2;

/// Elements between two slabs of a unit: slabs a power of two apart would share sets of the first level
/// cache.
inline std::int64_t slab_stride(std::int64_t channels, std::int64_t vectors) {
  return (channels * vectors + 1) * kLane;
}

/// The most vectors a unit may have, such that slabs of this many channels stay in a core's cache.
inline std::int64_t unit_vectors(std::int64_t channels) {
  constexpr std::int64_t kUnitBytes = std::int64_t{768} << 10;
  std::int64_t most = kUnitVectors;
  while (most > 1 && kSlabs * channels * most * kVectorBytes > kUnitBytes) most /= 2;
  return most;
}

/// Vectors [begin, end) of tiles, and the end of the unit behind them.
struct Unit {
  std::int64_t begin, end, next_end;
  std::int64_t vectors() const { return end - begin; }
};

/// Calls f(unit) for units of at most `most` vectors of [begin, end), of about equal size.
template <class F>
void for_each_unit(std::int64_t begin, std::int64_t end, std::int64_t most, const F& f) {
  const std::int64_t units = (end - begin + most - 1) / most;
  const auto start = [=](std::int64_t k) { return begin + (end - begin) * std::min(k, units) / units; };
  for (std::int64_t k = 0; k < units; ++k) f(Unit{start(k), start(k + 1), start(k + 2)});
}

}  // namespace retrace::cpu::winograd
