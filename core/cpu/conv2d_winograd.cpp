// Convolutions with 3 x 3 filters, stride 1 and padding 1, as Winograd's F(4 x 4, 3 x 3): see winograd.h.
//
// The lanes of a vector are tiles. A unit of some vectors of tiles goes through three steps, whose scratch
// stays in a core's cache:
//   v[i][c] = (B^T d B)[i]          for each channel c of x
//   m[i][o] = sum over c of u[i][o][c] v[i][c]          for each slab i of 36, with u = G w G^T
//   y[o] = A^T m[.][o] A + bias[o]          or a residual +- that
#include <retrace/core/cpu/winograd_fetch.h>
#include <retrace/core/cpu/winograd_filters.h>
#include <retrace/core/cpu/winograd_tiles.h>
#include <retrace/core/data_or_null.h>

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
                      const Addend& addend, float* channel, bool past_caches) {
  Vec<float> rows[kTile][kSide];
#pragma GCC unroll 6
  for (int k = 0; k < kSide; ++k) {
    Vec<float> column[kSide];
#pragma GCC unroll 6
    for (int r = 0; r < kSide; ++r) column[r] = load(m + (r * kSide + k) * slab);
    output_side(column, 1, &rows[0][k], kSide);
  }
  Vec<float> pixels[kTile][kTile];
#pragma GCC unroll 4
  for (int r = 0; r < kTile; ++r) {
    Vec<float> y[kTile];
    output_side(rows[r], 1, y, 1);
#pragma GCC unroll 4
    for (int k = 0; k < kTile; ++k) y[k] += bias;
    tiles.pixels_of(y, pixels[r]);
  }
  if (addend.channel != nullptr) {
#pragma GCC unroll 4
    for (int r = 0; r < kTile; ++r)
#pragma GCC unroll 4
      for (int j = 0; j < kTile; ++j)
        pixels[r][j] = tiles.load_part(addend.channel, r, j) + addend.sign * pixels[r][j];
  }
  tiles.store_rows(pixels, channel, past_caches);
}

/// One convolution, by units of tiles.
struct Convolution {
  TilePlanes in, out;
  const Filters& filters;
  const float* x;
  const float* bias;  ///< may be null
  Addend residual;    ///< of the first channel of the first image; may be y
  float* y;
  bool past_caches;  ///< y is written so

  /// Of a slab: of v and then of m, whichever are more.
  std::int64_t channels() const { return std::max(filters.in(), filters.out()); }
  std::int64_t most_vectors() const { return unit_vectors(channels()); }
  std::int64_t scratch() const { return (kSlabs + 1) * slab_stride(channels(), most_vectors()); }

  Addend addend_of(std::int64_t o) const {
    return {residual.channel != nullptr ? residual.channel + o * out.plane() : nullptr, residual.sign};
  }

  void run_unit(const Unit& unit, float* scratch) const {
    switch (unit.vectors()) {
      case 1:
        return run<1>(unit, scratch);
      case 2:
        return run<2>(unit, scratch);
      case 3:
        return run<3>(unit, scratch);
      default:
        return run<4>(unit, scratch);
    }
  }

  /// Slab i of m takes the place of slab i - 1 of v, which was read just before and is in the first level.
  template <int kVectors>
  void run(const Unit& unit, float* m) const {
    const std::int64_t slab = slab_stride(channels(), kVectors);
    float* v = m + slab;
    const auto inputs = vectors_of<kVectors>(in, unit.begin);
    for (std::int64_t c = 0; c < filters.in(); ++c)
      for (int q = 0; q < kVectors; ++q)
        transform_input(inputs[q], x + c * in.plane(), v + (c * kVectors + q) * kLane, slab);
    const std::int64_t calls = kSlabs * filters.blocks();
    const bool apart = residual.channel != nullptr && residual.channel != y;
    Fetch<false> next_inputs(in, x, filters.in(), unit.end, unit.next_end, calls);
    Fetch<true> results(out, y, filters.out(), unit.begin, past_caches ? unit.begin : unit.end, calls);
    Fetch<false> residuals(out, residual.channel, filters.out(), unit.begin, apart ? unit.end : unit.begin,
                           calls);
    for (int i = 0; i < kSlabs; ++i)
      filters.multiply<kVectors>(i, 0, filters.out(), v + i * slab, m + i * slab, [&] {
        results.piece();
        residuals.piece();
        next_inputs.piece();
      });
    const auto outputs = vectors_of<kVectors>(out, unit.begin);
    for (std::int64_t o = 0; o < filters.out(); ++o)
      for (int q = 0; q < kVectors; ++q)
        transform_output(outputs[q], m + (o * kVectors + q) * kLane, slab, bias != nullptr ? bias[o] : 0,
                         addend_of(o), y + o * out.plane(), past_caches);
  }
};

void convolve(const Tensor& x, const Filters& filters, const Tensor& bias, const kernel::Residual& residual,
              Tensor& y) {
  const Convolution convolution{
      TilePlanes(x.shape()),
      TilePlanes(y.shape()),
      filters,
      x.data<float>(),
      retrace::detail::data_or_null<float>(bias),
      {retrace::detail::data_or_null<float>(residual.value), static_cast<float>(residual.sign)},
      y.mutable_data<float>(),
      streams<float>(x, y, residual)};
  const std::int64_t most = convolution.most_vectors();
  const std::int64_t products = kSlabs * filters.in() * filters.out() * kLane;
  const std::int64_t vectors = convolution.in.vectors();
  BatchTasks<float> tasks(task_count(vectors, most), convolution.scratch(), most * products);
  tasks.run([&](float* scratch, std::int64_t begin, std::int64_t end) {
    for_each_unit(begin * most, std::min(end * most, vectors), most,
                  [&](const Unit& unit) { convolution.run_unit(unit, scratch); });
    end_stream();
  });
}

}  // namespace

// The batch has no say, although the direct kernel is faster for an image or two of 8 x 8 pixels: an image's
// result must not depend on those beside it, nor on how a batch of bf16 is cut.
bool winograd_fits(const Conv2dGeometry& g) {
  constexpr std::int64_t kFewestChannels = 8;  // below, the transforms take longer than the products
  return g.is_3x3(1) && g.options.algorithm == Conv2dAlgorithm::automatic &&
         std::min(g.c, g.o) >= kFewestChannels && TilePlanes::fits(g.h, g.w);
}

void winograd_forward(const Tensor& x, const Tensor& weight, const Tensor& bias,
                      const kernel::Residual& residual, Tensor& y) {
  convolve(x, Filters(weight, FilterUse::forward, kG), bias, residual, y);
}

void winograd_backward_data(const Tensor& dy, const Tensor& weight, const kernel::Residual& residual,
                            Tensor& dx) {
  convolve(dy, Filters(weight, FilterUse::backward_data, kG), Tensor(), residual, dx);
}

}  // namespace retrace::cpu
