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
  for_each_gradient_tile(tiles, dy, plane, channels, [&](std::int64_t lane, const GradientTile& tile) {
    float* to = e + lane * kLane;
    const std::int64_t stride = slab;  // a copy: what is captured might change with each store
    Vec<float> rows[kTile][kSide];
#pragma GCC unroll 4
    for (int r = 0; r < kTile; ++r) {
      Vec<float> pixels[kTile];
      tile.row(r, pixels);
      gradient_side(pixels, 1, rows[r], 1);
    }
#pragma GCC unroll 6
    for (int k = 0; k < kSide; ++k) {
      Vec<float> column[kSide];
      gradient_side(&rows[0][k], kSide, column, 1);
#pragma GCC unroll 6
      for (int r = 0; r < kSide; ++r) store<float>(to + (r * kSide + k) * stride, column[r]);
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
    switch (most_vectors()) {
      case 1:
        return add<1>(unit, v, du);
      case 2:
        return add<2>(unit, v, du);
      default:
        return add<4>(unit, v, du);
    }
  }

 private:
  template <int kMostVectors>
  void add(const Unit& unit, float* v, float* du) const {
    const std::int64_t tiles = unit.vectors() * kLane;
    const std::int64_t v_slab = slab_stride(c_, kMostVectors);
    const std::int64_t e_slab = slab_stride(o_stride_, kMostVectors);
    float* e = v + kSlabs * v_slab;
    const auto inputs = vectors_of<kMostVectors>(in_, unit.begin);
    const auto outputs = vectors_of<kMostVectors>(out_, unit.begin);
    const std::int64_t vectors = unit.vectors();
    for (std::int64_t c = 0; c < c_; ++c)
      for (std::int64_t q = 0; q < vectors; ++q)
        transform_input(inputs[q], x_ + c * in_.plane(), v + (c * kMostVectors + q) * kLane, v_slab);
    for (std::int64_t o = 0; o < o_; o += kLane)
      for (std::int64_t q = 0; q < vectors; ++q)
        transform_gradient(outputs[q], dy_ + o * out_.plane(), out_.plane(), o_ - o,
                           e + o * tiles + q * kLane * kLane, e_slab);
    const std::int64_t calls = kSlabs * fetch_calls(tiles, c_, o_stride_);
    Fetch<false> next_inputs(in_, x_, c_, unit.end, unit.next_end, calls);
    Fetch<false> next_gradients(out_, dy_, o_, unit.end, unit.next_end, calls);
    const auto fetch = [&] {
      next_inputs.piece();
      next_gradients.piece();
    };
    for (int i = 0; i < kSlabs; ++i, v += v_slab, e += e_slab, du += c_ * o_stride_)
      add_products<kMostVectors>(v, e, tiles * kLane, tiles, c_, o_stride_, du, o_stride_, fetch);
  }

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
