// The gradient of 3 x 3 filters with stride 2 and padding 1, as the adjoint of Winograd's F(4 x 4, 2 x 2) on
// the phases of x (winograd_strided.h):
//   du[g][c][o] = sum over the group's slabs and tiles of v[g][c][slab][tile] e[g][slab][tile][o]
//   dw = G^T du G, with v of the inputs as in the forward pass, and in e
//   e_oo = A dy A^T, e_oe = A dy, e_eo = dy A^T and e_ee = dy          o: odd, e: even rows, then columns
// The lanes of v are tiles, those of e and du are output channels.
#include <retrace/core/cpu/winograd_fetch.h>
#include <retrace/core/cpu/winograd_gradient.h>
#include <retrace/core/cpu/winograd_strided_tiles.h>

namespace retrace::cpu {

namespace winograd::strided {

namespace {

/// Channels that are done together.
constexpr std::int64_t kBlockInputs = 32;
constexpr std::int64_t kBlockOutputs = 64;
/// Output channels of e.
constexpr std::int64_t kPartOutputs = 2 * kLane;

/// Elements of a slab of e, for kLane channels.
constexpr std::int64_t kSlabSize = kLane * kLane;

/// The groups of e. gradient_side passes the last pixel on as the last product, so that those in row or
/// column kOdd - 1 are slabs of others, in row or column kOdd.
class GradientGroups {
 public:
  explicit GradientGroups(std::int64_t channels) : groups_(channels) {}

  std::int64_t size() const { return groups_.size(); }
  static bool has(int r, int s) { return r != kLast && s != kLast; }
  /// The first slab of a group that there is, for channels o, ..., o + kLane - 1.
  [[gnu::always_inline]] std::int64_t at(int r, int s, std::int64_t o) const { return groups_.at(r, s, o); }

  /// Where the slabs of any group are: `together` of them lie side by side, then come others' up to `step`;
  /// the next kLane channels are `stride` elements further on.
  struct Slabs {
    std::int64_t first;
    int together;
    std::int64_t step, stride;
  };
  Slabs slabs(int r, int s) const {
    const int in_r = r == kLast ? kOdd : r;
    const int in_s = s == kLast ? kOdd : s;
    const int columns = in_s == kOdd ? kTile : 1;
    const int slab = (r == kLast ? (kTile - 1) * columns : 0) + (s == kLast ? kTile - 1 : 0);
    return {groups_.at(in_r, in_s) + slab * kSlabSize, s == kLast ? 1 : group_slabs(r, s),
            columns * kSlabSize, group_slabs(in_r, in_s) * kSlabSize};
  }

 private:
  static constexpr int kLast = kOdd - 1;
  GroupsOf<kLast> groups_;
};

/// e of one vector of tiles for up to kLane channels, `plane` elements apart, of which the first is o in e.
void transform_gradient(const TileVector& tiles, const float* dy, std::int64_t plane, std::int64_t channels,
                        std::int64_t o, const GradientGroups& groups, float* e) {
  for_each_gradient_tile(tiles, dy, plane, channels, [&](std::int64_t lane, const GradientTile& tile) {
    // Copies: what is captured might change with each store.
    float* to = e + lane * kLane;
    const std::int64_t first = o;
    const GradientGroups parts = groups;
    Vec<float> rows[kTile][kOdd + kTile];  // dy A^T, then dy
#pragma GCC unroll 4
    for (int i = 0; i < kTile; ++i) {
      Vec<float> pixels[kTile];
      tile.row(i, pixels);
      gradient_side(pixels, 1, rows[i], 1);
#pragma GCC unroll 4
      for (int k = 0; k < kTile; ++k) rows[i][kOdd + k] = pixels[k];
    }
    put_columns(
        rows, [](auto... side) { gradient_side(side...); },
        [=](int r, int s, std::int64_t slab, const Vec<float>& value) {
          if (parts.has(r, s)) store<float>(to + parts.at(r, s, first) + slab * kSlabSize, value);
        });
  });
}

/// The gradient of a block of filters, from x: [n, c, h, w] and dy: [n, o, oh, ow].
class FilterGradient {
 public:
  FilterGradient(const Conv2dGeometry& g, const Tensor& x, const Tensor& dy, const FilterBlock& block)
      : c_(block.inputs),
        o_(block.outputs),
        o_stride_(block.o_stride()),
        groups_(c_),
        in_(g.n, g.c, g.h, g.w),
        out_(g.n, g.o, g.oh, g.ow),
        x_(x.data<float>() + block.input * g.plane()),
        dy_(dy.data<float>() + block.output * g.out_plane()) {}

  std::int64_t vectors() const { return out_.vectors(); }
  static constexpr std::int64_t most_vectors() { return 1; }
  /// Of a vector of tiles.
  std::int64_t products() const { return kProducts * c_ * o_ * kLane; }
  /// Elements of the scratch of a vector of tiles.
  std::int64_t scratch() const {
    return groups_.size() + GradientGroups(std::min(kPartOutputs, o_stride_)).size();
  }

  /// Adds the products of one vector of tiles to du.
  void add(const Unit& unit, float* v, float* du) const {
    const StridedVector pixels(in_, unit.begin);
    for (std::int64_t c = 0; c < c_; ++c) transform_input(pixels, x_ + c * in_.plane(), c, groups_, v);
    const std::int64_t calls = kSlabs * fetch_calls(kLane, c_, o_stride_);
    Fetch<false> next_inputs(in_, x_, c_, unit.end, unit.next_end, calls);
    Fetch<false> next_gradients(out_, dy_, o_, unit.end, unit.next_end, calls);
    const auto fetch = [&] {
      next_inputs.piece();
      next_gradients.piece();
    };
    const TileVector gradients(out_, unit.begin);
    float* e = v + groups_.size();
    for (std::int64_t first = 0; first < o_stride_; first += kPartOutputs) {
      const std::int64_t part = std::min(kPartOutputs, o_stride_ - first);
      const GradientGroups parts(part);
      for (std::int64_t o = 0; o < part; o += kLane)
        transform_gradient(gradients, dy_ + (first + o) * out_.plane(), out_.plane(), o_ - first - o, o,
                           parts, e);
      for (int r = 0; r < kSide; ++r)
        for (int s = 0; s < kSide; ++s) {
          const GradientGroups::Slabs from = parts.slabs(r, s);
          const auto add = [&](auto slabs) {
            for (int k = 0; k < slabs; k += from.together)
              add_products<slabs.value>(v + groups_.at(r, s) + k * kLane, e + from.first + k * from.step,
                                        from.stride, from.together * kLane, c_, part,
                                        du + (r * kSide + s) * c_ * o_stride_ + first, o_stride_, fetch);
          };
          visit_group_slabs(r, s, add);
        }
    }
  }

 private:
  std::int64_t c_, o_, o_stride_;
  Groups groups_;
  StridedPlanes in_;
  TilePlanes out_;
  const float* x_;
  const float* dy_;
};

}  // namespace

}  // namespace winograd::strided

void winograd_strided_backward_weight(const Conv2dGeometry& g, const Tensor& dy, const Tensor& x,
                                      Tensor& dw) {
  using namespace winograd::strided;
  winograd::sum_gradient<FilterGradient>(g, dy, x, kBlockInputs, kBlockOutputs, kG, dw);
}

}  // namespace retrace::cpu
