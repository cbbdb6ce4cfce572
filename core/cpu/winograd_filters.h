#pragma once
// Internal: filters of 3 x 3 elements that were transformed for Winograd's convolutions, and their products.
#include <retrace/core/cpu/conv2d_tile.h>
#include <retrace/core/cpu/winograd.h>

namespace retrace::cpu::winograd {

/// m[k] = sum over c of u[c][k] v[c] for kBlocks blocks of kBlock output channels and kVectors vectors; v[c]
/// and m[k] are kStep vectors apart.
template <int kBlocks, int kBlock, int kVectors, int kStep>
void multiply_blocks(const float* u, const float* v, std::int64_t channels, float* m) {
  constexpr int kOutputs = kBlocks * kBlock;
  const float* blocks[kBlocks];
  for (int b = 0; b < kBlocks; ++b) blocks[b] = u + b * kBlock * channels;
  Vec<float> sums[kOutputs][kVectors] = {};
  for (std::int64_t c = 0; c < channels; ++c, v += kStep * kLane) {
    Vec<float> value[kVectors];
#pragma GCC unroll 4
    for (int q = 0; q < kVectors; ++q) value[q] = load(v + q * kLane);
#pragma GCC unroll 12
    for (int k = 0; k < kOutputs; ++k)
#pragma GCC unroll 4
      for (int q = 0; q < kVectors; ++q) sums[k][q] += blocks[k / kBlock][k % kBlock] * value[q];
#pragma GCC unroll 2
    for (int b = 0; b < kBlocks; ++b) blocks[b] += kBlock;
  }
#pragma GCC unroll 12
  for (int k = 0; k < kOutputs; ++k)
#pragma GCC unroll 4
    for (int q = 0; q < kVectors; ++q) store<float>(m + (k * kStep + q) * kLane, sums[k][q]);
}

/// What filters are transformed for: y of x, or dx of dy, with outputs and inputs exchanged and the filters
/// turned by half a turn.
enum class FilterUse { forward, backward_data };

/// u = G w G^T for filters w of 3 x 3 elements from `in` to `out` channels, as
/// u[slab][block][c][channel of the block].
class Filters {
 public:
  /// Of a convolution's weight.
  Filters(const Tensor& weight, FilterUse use, const float (&g)[kSide][3])
      : turned_(use == FilterUse::backward_data),
        out_(weight.shape()[turned_ ? 1 : 0]),
        in_(weight.shape()[turned_ ? 0 : 1]),
        u_({kSlabs, slab_size()}, DType::f32, Tag::workspace) {
    for (int i = 0; i < kSide; ++i)
      for (int j = 0; j < 3; ++j) g_[i][j] = g[i][turned_ ? 2 - j : j];
    for_each_block(out_, [this](std::int64_t, auto) { ++blocks_; });
    const float* w = weight.data<float>();
    float* u = u_.mutable_data<float>();
    const std::int64_t grain = std::max<std::int64_t>(kFewestFilters / (in_ * kTileChannels), 1);
    parallel_for(blocks_, grain, [=, this](std::int64_t begin, std::int64_t end) {
      std::int64_t index = 0;
      for_each_block(out_, [&](std::int64_t o, auto block) {
        if (begin <= index && index < end) transform<block.value>(w, o, u + o * in_);
        ++index;
      });
    });
  }

  std::int64_t out() const { return out_; }
  std::int64_t in() const { return in_; }

  /// The number of blocks of output channels.
  std::int64_t blocks() const { return blocks_; }

  /// m[o] = sum over c of u[o][c] v[c] for one slab, by its number, kVectors vectors and the output channels
  /// [begin, end), where a block begins and one ends; v[c] and m[o] are kStep vectors apart. Calls
  /// before_block() once for each block.
  template <int kVectors, int kStep = kVectors, class F>
  void multiply(int number, std::int64_t begin, std::int64_t end, const float* v, float* m,
                const F& before_block) const {
    const float* u = u_.data<float>() + number * slab_size();
    for (std::int64_t o = begin; o < end;)
      o += visit_block(out_ - o, [&](auto block) -> std::int64_t {
        const float* filters = u + o * in_;
        float* to = m + (o - begin) * kStep * kLane;
        before_block();
        // Sums of one vector and block are too few to keep the multipliers busy.
        if constexpr (kVectors == 1 && block > 1)
          if (o + 2 * block <= end && block_size(out_ - o - block) == block) {
            before_block();
            multiply_blocks<2, block, 1, kStep>(filters, v, in_, to);
            return 2 * block;
          }
        multiply_blocks<1, block, kVectors, kStep>(filters, v, in_, to);
        return block;
      });
  }

 private:
  /// Elements between two slabs: a power of two would have them share sets of the caches.
  std::int64_t slab_size() const { return out_ * in_ + kLane; }

  /// Filters that are worth another task.
  static constexpr std::int64_t kFewestFilters = 256;

  /// u = G w G^T for the filters to channels o, ..., o + kBlock - 1. The lanes are filters, as they lie in u.
  template <int kBlock>
  void transform(const float* weight, std::int64_t o, float* u) const {
    const std::int64_t filters = kBlock * in_;
    const std::int64_t slab = slab_size();
    const std::int64_t out_step = turned_ ? kElements : in_ * kElements;
    const std::int64_t in_step = turned_ ? out_ * kElements : kElements;
    for (std::int64_t first = 0; first < filters; first += kLane) {
      const std::int64_t lanes = std::min<std::int64_t>(kLane, filters - first);
      const float* from[kLane];
      for (int k = 0; k < kLane; ++k) {
        const std::int64_t number = std::min(first + k, filters - 1);
        from[k] = weight + (o + number % kBlock) * out_step + number / kBlock * in_step;
      }
      Vec<float> w[kElements];  // by fours, of which the last two overlap
      load_columns([&](int k) { return from[k]; }, w);
      load_columns([&](int k) { return from[k] + 4; }, w + 4);
      load_columns([&](int k) { return from[k] + 5; }, w + 5);
      Vec<float> rows[kSide][3];
#pragma GCC unroll 6
      for (int i = 0; i < kSide; ++i)
#pragma GCC unroll 3
        for (int j = 0; j < 3; ++j) rows[i][j] = g_[i][0] * w[j] + g_[i][1] * w[3 + j] + g_[i][2] * w[6 + j];
      float* to = u + first;
      for (int i = 0; i < kSide; ++i)
#pragma GCC unroll 6
        for (int j = 0; j < kSide; ++j, to += slab) {
          const Vec<float> value = g_[j][0] * rows[i][0] + g_[j][1] * rows[i][1] + g_[j][2] * rows[i][2];
          store_some<float>(to, value, lanes);
        }
    }
  }

  static constexpr int kElements = 9;  ///< of a filter

  bool turned_;
  std::int64_t out_, in_;
  std::int64_t blocks_ = 0;
  float g_[kSide][3];  ///< its columns in reverse turn the filters
  Tensor u_;
};

}  // namespace retrace::cpu::winograd
