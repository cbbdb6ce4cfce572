// The gradient of 3 x 3 filters, stride 1 and padding 1, as the adjoint of Winograd's F(4 x 4, 3 x 3):
//   du[i][c][o] = sum over tiles of v[i][c][tile] e[i][tile][o]          for each slab i of 36
//   dw = G^T du G, with v = B^T d B of the inputs as in the forward pass, and e = A dy A^T
// The lanes of v are tiles, those of e and du are output channels.
#include <retrace/core/cpu/winograd_fetch.h>
#include <retrace/core/cpu/winograd_gradient.h>

namespace retrace::cpu {

namespace {

using namespace winograd;

/// Channels that are done together.
constexpr std::int64_t kBlockInputs = 64;
constexpr std::int64_t kBlockOutputs = 32;

/// e[tile] = A dy A^T for up to kLane channels, `plane` elements apart, of one vector of tiles.
void transform_gradient(const TileVector& tiles, const float* dy, std::int64_t plane, std::int64_t channels,
                        float* e, std::int64_t slab) {
  for_each_gradient_tile(tiles, dy, plane, channels, [&](std::int64_t tile, const Vec<float>* pixels) {
    Vec<float> columns[kSide][kTile];
#pragma GCC unroll 4
    for (int k = 0; k < kTile; ++k) gradient_side(pixels + k, kLane, &columns[0][k], kTile);
#pragma GCC unroll 6
    for (int r = 0; r < kSide; ++r) {
      Vec<float> row[kSide];
      gradient_side(columns[r], 1, row, 1);
#pragma GCC unroll 6
      for (int k = 0; k < kSide; ++k) store<float>(e + tile * kLane + (r * kSide + k) * slab, row[k]);
    }
  });
}

/// The gradient of a block of filters, from x: [n, c, h, w] and dy: [n, o, h, w].
class FilterGradient {
 public:
  FilterGradient(const Conv2dGeometry& g, const Tensor& x, const Tensor& dy, const FilterBlock& block)
      : c_(block.inputs),
        o_(block.outputs),
        o_stride_(block.o_stride()),
        in_(g.n, g.c, g.h, g.w),
        out_(g.n, g.o, g.h, g.w),
        x_(x.data<float>() + block.input * g.plane()),
        dy_(dy.data<float>() + block.output * g.plane()) {}

  std::int64_t vectors() const { return in_.vectors(); }
  /// du takes as much of the cache as that many channels more.
  std::int64_t most_vectors() const { return unit_vectors(c_ + o_stride_ + c_ * o_stride_ / kLane); }
  /// Of a vector of tiles.
  std::int64_t products() const { return kSlabs * c_ * o_ * kLane; }
  /// Elements of the scratch of a unit.
  std::int64_t scratch() const {
    return kSlabs * (slab_stride(c_, most_vectors()) + slab_stride(o_stride_, most_vectors()));
  }

  /// Adds the products of some vectors of tiles to du.
  void add(const Unit& unit, float* v, float* du) const {
    const std::int64_t vectors = unit.vectors();
    const std::int64_t tiles = vectors * kLane;
    const std::int64_t v_slab = slab_stride(c_, vectors);
    const std::int64_t e_slab = slab_stride(o_stride_, vectors);
    float* e = v + kSlabs * v_slab;
    for (std::int64_t q = 0; q < vectors; ++q) {
      const TileVector in(in_, unit.begin + q);
      const TileVector out(out_, unit.begin + q);
      for (std::int64_t c = 0; c < c_; ++c)
        transform_input(in, x_ + c * in_.plane(), v + c * tiles + q * kLane, v_slab);
      for (std::int64_t o = 0; o < o_; o += kLane)
        transform_gradient(out, dy_ + o * out_.plane(), out_.plane(), o_ - o,
                           e + o * tiles + q * kLane * kLane, e_slab);
    }
    const std::int64_t calls = kSlabs * product_blocks(c_, o_stride_);
    Fetch<false> next_inputs(in_, x_, c_, unit.end, unit.next_end, calls);
    Fetch<false> next_gradients(out_, dy_, o_, unit.end, unit.next_end, calls);
    const auto fetch = [&] {
      next_inputs.piece();
      next_gradients.piece();
    };
    for (int i = 0; i < kSlabs; ++i, v += v_slab, e += e_slab, du += c_ * o_stride_)
      add_products(v, e, tiles, c_, o_stride_, du, o_stride_, fetch);
  }

 private:
  std::int64_t c_, o_, o_stride_;
  TilePlanes in_, out_;
  const float* x_;
  const float* dy_;
};

}  // namespace

void winograd_backward_weight(const Conv2dGeometry& g, const Tensor& dy, const Tensor& x, Tensor& dw) {
  sum_gradient<FilterGradient>(g, dy, x, kBlockInputs, kBlockOutputs, kG, dw);
}

}  // namespace retrace::cpu
