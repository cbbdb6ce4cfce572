#pragma once
// Internal: filters of 3 x 3 elements that were transformed for Winograd's convolutions, and their products.
#include <retrace/core/cpu/conv2d_tile.h>
#include <retrace/core/cpu/winograd.h>

namespace retrace::cpu::winograd {

/// m[k] = sum over c of u[c][k] v[c] for kBlock output channels and kVectors vectors; v[c] and m[k] are kStep
/// vectors apart.
template <int kBlock, int kVectors, int kStep>
void multiply_block(const float* u, const float* v, std::int64_t channels, float* m) {
  Vec<float> sums[kBlock][kVectors] = {};
  for (std::int64_t c = 0; c < channels; ++c, v += kStep * kLane, u += kBlock) {
    Vec<float> value[kVectors];
#pragma GCC unroll 4
    for (int q = 0; q < kVectors; ++q) value[q] = load(v + q * kLane);
#pragma GCC unroll 8
    for (int k = 0; k < kBlock; ++k)
#pragma GCC unroll 4
      for (int q = 0; q < kVectors; ++q) sums[k][q] += u[k] * value[q];
  }
#pragma GCC unroll 8
  for (int k = 0; k < kBlock; ++k)
#pragma GCC unroll 4
    for (int q = 0; q < kVectors; ++q) store<float>(m + (k * kStep + q) * kLane, sums[k][q]);
}

/// u = G w G^T for filters w of 3 x 3 elements from `in` to `out` channels, as
/// u[slab][block][c][channel of the block].
class Filters {
 public:
  /// filter(o, c, t) is the element t of the filter from channel c to channel o.
  template <class Filter>
  Filters(std::int64_t out, std::int64_t in, const float (&g)[kSide][3], const Filter& filter)
      : out_(out), in_(in), g_(g), u_({kSlabs, out, in}, DType::f32, Tag::workspace) {
    for_each_block(out, [this](std::int64_t, auto) { ++blocks_; });
    float* u = u_.mutable_data<float>();
    const std::int64_t grain = std::max<std::int64_t>(kFewestFilters / in, 1);
    parallel_for(out, grain, [=, this](std::int64_t begin, std::int64_t end) {
      for_each_block(out_, [&](std::int64_t first, auto block) {
        for (std::int64_t o = std::max(begin, first); o < std::min(end, first + block); ++o)
          for (std::int64_t c = 0; c < in_; c += kLane)
            transform(filter, o, c, u + first * in_ + c * block + o - first, block);
      });
    });
  }

  std::int64_t out() const { return out_; }
  std::int64_t in() const { return in_; }

  /// The number of blocks of output channels.
  std::int64_t blocks() const { return blocks_; }

  /// m[o] = sum over c of u[o][c] v[c] for one slab, kVectors vectors and the output channels [begin, end),
  /// where a block begins and one ends; v[c] and m[o] are kStep vectors apart. Calls before_block() in front
  /// of each block.
  template <int kVectors, int kStep = kVectors, class F>
  void multiply(int slab, std::int64_t begin, std::int64_t end, const float* v, float* m,
                const F& before_block) const {
    const float* u = u_.data<float>() + slab * out_ * in_;
    for_each_block(out_, [&](std::int64_t o, auto block) {
      if (o < begin || o >= end) return;
      before_block();
      multiply_block<block.value, kVectors, kStep>(u + o * in_, v, in_, m + (o - begin) * kStep * kLane);
    });
  }

 private:
  /// Filters that are worth another task.
  static constexpr std::int64_t kFewestFilters = 256;

  /// u = G w G^T for the filters from channels c, c + 1, ... (kLane at most) to channel o; `step` is between
  /// two input channels of u.
  template <class Filter>
  void transform(const Filter& filter, std::int64_t o, std::int64_t c, float* u, std::int64_t step) const {
    const int lanes = static_cast<int>(std::min<std::int64_t>(kLane, in_ - c));
    Vec<float> w[9] = {};
    for (int t = 0; t < 9; ++t)
      for (int k = 0; k < lanes; ++k) w[t][k] = filter(o, c + k, t);
    Vec<float> rows[kSide][3];
#pragma GCC unroll 6
    for (int i = 0; i < kSide; ++i)
#pragma GCC unroll 3
      for (int j = 0; j < 3; ++j) rows[i][j] = g_[i][0] * w[j] + g_[i][1] * w[3 + j] + g_[i][2] * w[6 + j];
    for (int i = 0; i < kSide; ++i)
#pragma GCC unroll 6
      for (int j = 0; j < kSide; ++j, u += out_ * in_) {
        const Vec<float> value = g_[j][0] * rows[i][0] + g_[j][1] * rows[i][1] + g_[j][2] * rows[i][2];
        for (int k = 0; k < lanes; ++k) u[k * step] = value[k];
      }
  }

  std::int64_t out_, in_;
  std::int64_t blocks_ = 0;
  const float (&g_)[kSide][3];
  Tensor u_;
};

}  // namespace retrace::cpu::winograd
