#pragma once
// Internal: what the gradients of Winograd's filters share. The lanes are output channels.
#include <retrace/core/cpu/conv2d.h>
#include <retrace/core/cpu/winograd_tiles.h>

namespace retrace::cpu::winograd {

/// A register tile: output channels in up to 2 vectors, times input channels.
inline constexpr int kSums = kVectorBytes == 64 ? 16 : 8;
/// Output channels in whole vectors.
constexpr std::int64_t whole_lanes(std::int64_t channels) { return task_count(channels, kLane) * kLane; }

/// Rows of a tile of dy, for up to kLane channels.
class GradientTile {
 public:
  /// pixels[channel][pixel] are those of the tile's first row, kLane channels of kLane pixels; the next rows
  /// lie behind them.
  explicit GradientTile(const float* pixels) : pixels_(pixels) {}

  /// Lane k of to[c] is row r and column c of channel k.
  [[gnu::always_inline]] void row(int r, Vec<float> (&to)[kTile]) const {
    load_columns([=, this](int channel) { return pixels_ + (r * kLane + channel) * kLane; }, to);
  }

 private:
  const float* pixels_;
};

/// Calls f(lane, tile) for each tile of a vector, for up to kLane channels of dy, `plane` elements apart;
/// zeros stand for those that are missing.
template <class F>
void for_each_gradient_tile(const TileVector& tiles, const float* dy, std::int64_t plane,
                            std::int64_t channels, const F& f) {
  constexpr int kTiles = kLane / kTile;
  alignas(kVectorBytes) float rows[kTile][kLane][kLane];  // of kTiles tiles: [row][channel][pixel]
  if (channels < kLane) std::memset(rows, 0, sizeof rows);
  channels = std::min<std::int64_t>(channels, kLane);
  for (int j = 0; j < kTile; ++j) {
    for (int r = 0; r < kTile; ++r) tiles.copy_part(dy, plane, channels, r, j, &rows[r][0][0]);
    for (int t = 0; t < kTiles; ++t) f(lane_of(j * kTiles + t), GradientTile(&rows[0][0][t * kTile]));
  }
}

/// du[c][o] += sum over tiles of v[c][tile] e[tile][o] for kInputs channels c, kRow vectors of tiles apart in
/// v and `o_stride` elements in du, and kVectors vectors of o, `e_stride` elements apart in e. Since kRow is
/// a constant, one register points to all channels. Calls fetch() first; where o is one vector, of which
/// there are few blocks, before each vector of tiles.
template <int kVectors, int kInputs, int kRow, class F>
void multiply_block(const float* v, const float* e, std::int64_t e_stride, std::int64_t tiles, float* du,
                    std::int64_t o_stride, const F& fetch) {
  Vec<float> sums[kInputs][kVectors] = {};  // added to du at the end: short sums round less
  const std::int64_t step = kVectors == 1 ? std::int64_t{kLane} : tiles;
  for (std::int64_t first = 0; first < tiles; first += step) {
    fetch();
    for (std::int64_t t = first; t < first + step; ++t) {
      Vec<float> d[kVectors];
#pragma GCC unroll 2
      for (int q = 0; q < kVectors; ++q) d[q] = load(e + q * e_stride + t * kLane);
#pragma GCC unroll 16
      for (int c = 0; c < kInputs; ++c)
#pragma GCC unroll 2
        for (int q = 0; q < kVectors; ++q) sums[c][q] += v[c * kRow * kLane + t] * d[q];
    }
  }
#pragma GCC unroll 16
  for (int c = 0; c < kInputs; ++c)
#pragma GCC unroll 2
    for (int q = 0; q < kVectors; ++q) {
      float* sum = du + c * o_stride + q * kLane;
      store<float>(sum, load(sum) + sums[c][q]);
    }
}

/// The same for all input channels, in blocks and what is left of them.
template <int kVectors, int kRow, class F>
void multiply(const float* v, const float* e, std::int64_t e_stride, std::int64_t tiles,
              std::int64_t channels, float* du, std::int64_t o_stride, const F& fetch) {
  std::int64_t c = 0;
  const auto run = [&](auto inputs) {
    for (; c + inputs <= channels; c += inputs) {
      multiply_block<kVectors, inputs.value, kRow>(v + c * kRow * kLane, e, e_stride, tiles,
                                                   du + c * o_stride, o_stride, fetch);
    }
  };
  constexpr int kInputs = kSums / kVectors;
  run(std::integral_constant<int, kInputs>{});
  run(std::integral_constant<int, kInputs / 4>{});
  run(std::integral_constant<int, 1>{});
}

/// The same for all output channels, in whole vectors.
template <int kRow, class F>
void add_products(const float* v, const float* e, std::int64_t e_stride, std::int64_t tiles,
                  std::int64_t channels, std::int64_t outputs, float* du, std::int64_t o_stride,
                  const F& fetch) {
  std::int64_t o = 0;
  for (; o + 2 * kLane <= outputs; o += 2 * kLane)
    multiply<2, kRow>(v, e + o / kLane * e_stride, e_stride, tiles, channels, du + o, o_stride, fetch);
  for (; o < outputs; o += kLane)
    multiply<1, kRow>(v, e + o / kLane * e_stride, e_stride, tiles, channels, du + o, o_stride, fetch);
}

/// How often add_products calls fetch(), about.
inline std::int64_t fetch_calls(std::int64_t tiles, std::int64_t channels, std::int64_t outputs) {
  const std::int64_t blocks = std::max<std::int64_t>(outputs / kLane * channels / kSums, 1);
  return outputs == kLane ? blocks * tiles / kLane : blocks;
}

/// dw[o][c] = G^T du G for `outputs` output channels, at most kLane, and one input channel; slabs of du are
/// `slab` elements apart, output channels of dw `filters`.
inline void finish_block(const float* du, std::int64_t slab, const float (&g)[kSide][3], std::int64_t filters,
                         std::int64_t outputs, float* dw) {
  Vec<float> columns[3][kSide] = {};
  for (int r = 0; r < kSide; ++r)
    for (int k = 0; k < kSide; ++k, du += slab) {
      const Vec<float> d = load(du);
      for (int i = 0; i < 3; ++i) columns[i][k] += g[r][i] * d;
    }
  for (int i = 0; i < 3; ++i)
    for (int j = 0; j < 3; ++j) {
      Vec<float> d{};
      for (int k = 0; k < kSide; ++k) d += g[k][j] * columns[i][k];
      for (int lane = 0; lane < outputs; ++lane) dw[lane * filters + i * 3 + j] = d[lane];
    }
}

/// Filters from `inputs` to `outputs` channels, from the first of each on, whose gradients are summed
/// together: few enough that du stays in a core's cache beside the tiles. Its output channels are whole
/// vectors, `o_stride` lanes.
struct FilterBlock {
  std::int64_t input, inputs, output, outputs;

  std::int64_t o_stride() const { return whole_lanes(outputs); }
  std::int64_t sums() const { return kSlabs * inputs * o_stride(); }
};

/// dw[o][c] = G^T du G of du[slab][c][o] of a block.
inline void finish_gradient(const float* du, const float (&g_matrix)[kSide][3], const Conv2dGeometry& g,
                            const FilterBlock& block, float* dw) {
  const std::int64_t stride = block.o_stride();
  dw += block.output * g.depth() + block.input * 9;
  parallel_for(block.inputs, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t c = begin; c < end; ++c)
      for (std::int64_t o = 0; o < block.outputs; o += kLane)
        finish_block(du + c * stride + o, block.inputs * stride, g_matrix, g.depth(),
                     std::min<std::int64_t>(kLane, block.outputs - o), dw + o * g.depth() + c * 9);
  });
}

/// dw by a Gradient for each block of at most `inputs` times `outputs` channels. Inputs are transformed anew
/// for each block of outputs, and the reverse. `g_matrix` transforms filters.
template <class Gradient>
void sum_gradient(const Conv2dGeometry& g, const Tensor& dy, const Tensor& x, std::int64_t inputs,
                  std::int64_t outputs, const float (&g_matrix)[kSide][3], Tensor& dw) {
  for (std::int64_t o = 0; o < g.o; o += outputs)
    for (std::int64_t c = 0; c < g.c; c += inputs) {
      const FilterBlock block{c, std::min(inputs, g.c - c), o, std::min(outputs, g.o - o)};
      const Gradient gradient(g, x, dy, block);
      BatchSlots<float> slots(gradient.vectors(), block.sums() + gradient.scratch(), gradient.products());
      slots.run([&](float* du, std::int64_t begin, std::int64_t end) {
        std::fill(du, du + block.sums(), 0.0F);
        for_each_unit(begin, end, gradient.most_vectors(),
                      [&](const Unit& unit) { gradient.add(unit, du + block.sums(), du); });
      });
      finish_gradient(slots.sum(block.sums()), g_matrix, g, block, dw.mutable_data<float>());
    }
}

}  // namespace retrace::cpu::winograd
