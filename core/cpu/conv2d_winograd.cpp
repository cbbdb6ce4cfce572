// Convolutions with 3 x 3 filters, stride 1 and padding 1, as Winograd's F(4 x 4, 3 x 3): see winograd.h.
//
// The lanes of a vector are tiles. A unit of some vectors of tiles goes through three steps, whose scratch
// stays in a core's cache:
//   v[i][c] = (B^T d B)[i]          for each channel c of x
//   m[i][o] = sum over c of u[i][o][c] v[i][c]          for each slab i of 36, with u = G w G^T
//   y[o] = A^T m[.][o] A + bias[o]          or a residual +- that
#include <retrace/core/cpu/conv2d_tile.h>
#include <retrace/core/cpu/winograd_tiles.h>

namespace retrace::cpu {

namespace {

using namespace winograd;

/// One channel of a residual, or null, and +1 or -1.
struct Addend {
  const float* channel;
  float sign;
};

/// y[o] = A^T m A + bias for one channel, or the addend +- that.
void transform_output(const TileVector& tiles, const float* m, std::int64_t slab, float bias,
                      const Addend& addend, float* channel) {
  Vec<float> rows[kTile][kSide];
#pragma GCC unroll 6
  for (int k = 0; k < kSide; ++k) {
    Vec<float> column[kSide];
#pragma GCC unroll 6
    for (int r = 0; r < kSide; ++r) column[r] = load(m + (r * kSide + k) * slab);
    output_side(column, 1, &rows[0][k], kSide);
  }
#pragma GCC unroll 4
  for (int r = 0; r < kTile; ++r) {
    Vec<float> y[kTile];
    output_side(rows[r], 1, y, 1);
#pragma GCC unroll 4
    for (int k = 0; k < kTile; ++k) y[k] += bias;
    tiles.store_row(y, r, channel, [&](const Vec<float>& v, int j) {
      if (addend.channel == nullptr) return v;
      return tiles.load_part(addend.channel, r, j) + addend.sign * v;
    });
  }
}

/// m[k] = sum over c of u[c][k] v[c] for kBlock output channels.
template <int kBlock, int kVectors>
void multiply_block(const float* u, const float* v, std::int64_t channels, float* m) {
  Vec<float> sums[kBlock][kVectors] = {};
  for (std::int64_t c = 0; c < channels; ++c, v += kVectors * kLane, u += kBlock) {
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
    for (int q = 0; q < kVectors; ++q) store<float>(m + (k * kVectors + q) * kLane, sums[k][q]);
}

/// Filters that are worth another task.
constexpr std::int64_t kFewestFilters = 256;

/// Filters [o][c] as u[slab][block][c][channel of the block].
class Filters {
 public:
  /// filter(o, c, t) is the element t of the filter from channel c to channel o.
  template <class Filter>
  Filters(std::int64_t out, std::int64_t in, const Filter& filter)
      : out_(out), in_(in), u_({kSlabs, out, in}, DType::f32, Tag::workspace) {
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

  /// Calls before_block() once for each slab and block of output channels.
  template <int kVectors, class F>
  void multiply(const float* v, float* m, const F& before_block) const {
    const float* u = u_.data<float>();
    for (int i = 0; i < kSlabs; ++i) {
      float* to = m;
      for_each_block(out_, [&](std::int64_t, auto block) {
        before_block();
        multiply_block<block.value, kVectors>(u, v, in_, to);
        u += block.value * in_;
        to += block.value * kVectors * kLane;
      });
      v += slab_stride(in_, kVectors);
      m += slab_stride(out_, kVectors);
    }
  }

 private:
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
      for (int j = 0; j < 3; ++j) rows[i][j] = kG[i][0] * w[j] + kG[i][1] * w[3 + j] + kG[i][2] * w[6 + j];
    for (int i = 0; i < kSide; ++i)
#pragma GCC unroll 6
      for (int j = 0; j < kSide; ++j, u += out_ * in_) {
        const Vec<float> value = kG[j][0] * rows[i][0] + kG[j][1] * rows[i][1] + kG[j][2] * rows[i][2];
        for (int k = 0; k < lanes; ++k) u[k * step] = value[k];
      }
  }

  std::int64_t out_, in_;
  std::int64_t blocks_ = 0;
  Tensor u_;
};

/// The planes of a tensor [n, channels, h, w].
TilePlanes planes_of(const Tensor& x) {
  return TilePlanes(x.shape()[0], x.shape()[1], x.shape()[2], x.shape()[3]);
}

/// One convolution: vectors [begin, end) of tiles, at most kUnitVectors.
struct Convolution {
  TilePlanes in, out;
  const Filters& filters;
  const float* x;
  const float* bias;  ///< may be null
  Addend residual;    ///< of the first channel of the first image; may be y
  float* y;

  std::int64_t scratch(std::int64_t vectors) const {
    return kSlabs * (slab_stride(filters.in(), vectors) + slab_stride(filters.out(), vectors));
  }

  Addend addend_of(std::int64_t o) const {
    return {residual.channel != nullptr ? residual.channel + o * out.plane() : nullptr, residual.sign};
  }

  void run_unit(const Unit& unit, float* v) const {
    switch (unit.vectors()) {
      case 1:
        return run<1>(unit, v);
      case 2:
        return run<2>(unit, v);
      case 3:
        return run<3>(unit, v);
      default:
        return run<4>(unit, v);
    }
  }

  template <int kVectors>
  void run(const Unit& unit, float* v) const {
    const std::int64_t v_slab = slab_stride(filters.in(), kVectors);
    const std::int64_t m_slab = slab_stride(filters.out(), kVectors);
    float* m = v + kSlabs * v_slab;
    for (std::int64_t q = 0; q < kVectors; ++q) {
      const TileVector tiles(in, unit.begin + q);
      for (std::int64_t c = 0; c < filters.in(); ++c)
        transform_input(tiles, x + c * in.plane(), v + (c * kVectors + q) * kLane, v_slab);
    }
    Fetch<true> results(out, y, filters.out(), unit.begin, unit.end, kSlabs * filters.blocks());
    Fetch<false> next_inputs(in, x, filters.in(), unit.end, unit.next_end, kSlabs * filters.blocks());
    const bool apart = residual.channel != nullptr && residual.channel != y;
    Fetch<false> residuals(out, residual.channel, filters.out(), unit.begin, apart ? unit.end : unit.begin,
                           kSlabs * filters.blocks());
    filters.multiply<kVectors>(v, m, [&] {
      results.piece();
      residuals.piece();
      next_inputs.piece();
    });
    for (std::int64_t q = 0; q < kVectors; ++q) {
      const TileVector tiles(out, unit.begin + q);
      for (std::int64_t o = 0; o < filters.out(); ++o)
        transform_output(tiles, m + (o * kVectors + q) * kLane, m_slab, bias != nullptr ? bias[o] : 0,
                         addend_of(o), y + o * out.plane());
    }
  }
};

void convolve(const Tensor& x, const Filters& filters, const Tensor& bias, const kernel::Residual& residual,
              Tensor& y) {
  const Convolution convolution{
      planes_of(x),
      planes_of(y),
      filters,
      x.data<float>(),
      bias.defined() ? bias.data<float>() : nullptr,
      {residual.value.defined() ? residual.value.data<float>() : nullptr, static_cast<float>(residual.sign)},
      y.mutable_data<float>()};
  const std::int64_t most = unit_vectors(filters.in() + filters.out());
  const std::int64_t products = kSlabs * filters.in() * filters.out() * kLane;
  const std::int64_t vectors = convolution.in.vectors();
  BatchTasks<float> tasks(task_count(vectors, most), convolution.scratch(most), most * products);
  tasks.run([&](float* scratch, std::int64_t begin, std::int64_t end) {
    for_each_unit(begin * most, std::min(end * most, vectors), most,
                  [&](const Unit& unit) { convolution.run_unit(unit, scratch); });
  });
}

}  // namespace

// The batch has no say, although the direct kernel is faster for an image or two of 8 x 8 pixels: an image's
// result must not depend on those beside it, nor on how a bf16 batch is cut.
bool winograd_fits(const Conv2dGeometry& g) {
  constexpr std::int64_t kFewestChannels = 8;  // below, the transforms take longer than the products
  const Conv2dOptions& o = g.options;
  const bool same3x3 = g.kh == 3 && g.kw == 3 && o.stride == Size2d(1) && o.padding == Size2d(1) &&
                       o.dilation == Size2d(1) && o.groups == 1;
  return same3x3 && o.algorithm == Conv2dAlgorithm::automatic && std::min(g.c, g.o) >= kFewestChannels &&
         TilePlanes::fits(g.h, g.w);
}

void winograd_forward(const Conv2dGeometry& g, const Tensor& x, const Tensor& weight, const Tensor& bias,
                      const kernel::Residual& residual, Tensor& y) {
  const float* w = weight.data<float>();
  const Filters filters(
      g.o, g.c, [=](std::int64_t o, std::int64_t c, std::int64_t t) { return w[(o * g.c + c) * 9 + t]; });
  convolve(x, filters, bias, residual, y);
}

void winograd_backward_data(const Conv2dGeometry& g, const Tensor& dy, const Tensor& weight, Tensor& dx) {
  const float* w = weight.data<float>();
  const Filters turned(
      g.c, g.o, [=](std::int64_t c, std::int64_t o, std::int64_t t) { return w[(o * g.c + c) * 9 + 8 - t]; });
  convolve(dy, turned, Tensor(), {}, dx);
}

}  // namespace retrace::cpu
