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

/// Output channels that go through products and transform together where all are too many, or a few more.
inline constexpr std::int64_t kPartChannels = 36;
inline constexpr std::int64_t kMostPartChannels = kPartChannels + kTileChannels - 1;

/// Calls f(begin, end, blocks) for parts of `part` output channels, or a few more to end with a block.
template <class F>
void for_each_part(std::int64_t channels, std::int64_t part, const F& f) {
  std::int64_t begin = 0;
  std::int64_t blocks = 0;
  for_each_block(channels, [&](std::int64_t o, auto block) {
    const std::int64_t end = o + block;
    ++blocks;
    if (end - begin < part && end < channels) return;
    f(begin, end, blocks);
    begin = end;
    blocks = 0;
  });
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
    const std::int64_t grain = std::max<std::int64_t>(kFewestFilters / (in * kTileChannels), 1);
    parallel_for(blocks_, grain, [=, this](std::int64_t begin, std::int64_t end) {
      std::int64_t index = 0;
      for_each_block(out_, [&](std::int64_t o, auto block) {
        if (begin <= index && index < end) transform<block.value>(filter, o, u + o * in_);
        ++index;
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

  /// u = G w G^T for the filters to channels o, ..., o + kBlock - 1. The lanes are filters, as they lie in u.
  template <int kBlock, class Filter>
  void transform(const Filter& filter, std::int64_t o, float* u) const {
    for (std::int64_t first = 0; first < kBlock * in_; first += kLane) {
      const std::int64_t lanes = std::min<std::int64_t>(kLane, kBlock * in_ - first);
      Vec<float> w[9] = {};
      for (std::int64_t k = 0; k < lanes; ++k)
        for (int t = 0; t < 9; ++t) w[t][k] = filter(o + (first + k) % kBlock, (first + k) / kBlock, t);
      Vec<float> rows[kSide][3];
#pragma GCC unroll 6
      for (int i = 0; i < kSide; ++i)
#pragma GCC unroll 3
        for (int j = 0; j < 3; ++j) rows[i][j] = g_[i][0] * w[j] + g_[i][1] * w[3 + j] + g_[i][2] * w[6 + j];
      float* to = u + first;
      for (int i = 0; i < kSide; ++i)
#pragma GCC unroll 6
        for (int j = 0; j < kSide; ++j, to += out_ * in_) {
          const Vec<float> value = g_[j][0] * rows[i][0] + g_[j][1] * rows[i][1] + g_[j][2] * rows[i][2];
          store_some<float>(to, value, lanes);
        }
    }
  }

  std::int64_t out_, in_;
  std::int64_t blocks_ = 0;
  const float (&g_)[kSide][3];
  Tensor u_;
};

}  // namespace retrace::cpu::winograd
