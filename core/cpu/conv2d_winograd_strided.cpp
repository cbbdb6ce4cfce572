// Convolutions with 3 x 3 filters, stride 2 and padding 1 as Winograd's F(4 x 4, 2 x 2) on the phases of x:
// see winograd_strided.h.
//
// The lanes of a vector are tiles. A unit of some vectors of tiles goes through three steps, whose scratch
// stays in a core's cache; the last two take some output channels at a time:
//   v[g][slab][c] = the transformed pixels of each channel c
//   m[g][slab][o] = sum over c of u[g][o][c] v[g][slab][c]          for each group g of 36, with u = G w G^T
//   y[o] = A^T (m_oo A + m_oe) + (m_eo A + m_ee) + bias[o]          o: odd, e: even rows, then columns
// Backward data has dy for x and turned filters; there the four parts of m are the four phases of dx:
//   A^T m_oo A, A^T m_oe, m_eo A and m_ee
#include <retrace/core/cpu/winograd_fetcher.h>
#include <retrace/core/cpu/winograd_filters.h>
#include <retrace/core/cpu/winograd_strided.h>

#include <array>

namespace retrace::cpu {

namespace winograd::strided {

namespace {

/// v[.][.][c] of the pixels of dy: the odd pixels of dx see two of a row, the even ones see one.
void transform_input(const TileVector& tiles, const float* channel, const Groups& groups, std::int64_t c,
                     std::int64_t q, float* v) {
  Vec<float> rows[kOdd][kOdd + kTile];  // d B, then d
#pragma GCC unroll 5
  for (int r = 0; r < kOdd; ++r) {
    Vec<float> d[kSide];
    tiles.load_row(channel, r + 1, d);
    input_side(&d[1], 1, rows[r], 1);
#pragma GCC unroll 4
    for (int k = 0; k < kTile; ++k) rows[r][kOdd + k] = d[1 + k];
  }
#pragma GCC unroll 9
  for (int k = 0; k < kOdd + kTile; ++k) {
    const int s = k < kOdd ? k : kOdd;
    const std::int64_t slab = k < kOdd ? 0 : k - kOdd;
    Vec<float> column[kOdd];
    input_side(&rows[0][k], kOdd + kTile, column, 1);
#pragma GCC unroll 5
    for (int r = 0; r < kOdd; ++r) store<float>(v + groups.at(r, s, c, q) + slab * groups.slab(), column[r]);
#pragma GCC unroll 4
    for (int i = 0; i < kTile; ++i)
      store<float>(v + groups.at(kOdd, s, c, q) + (i * (k < kOdd ? 1 : kTile) + slab) * groups.slab(),
                   rows[i][k]);
  }
}

/// The products of one channel.
struct Products {
  const float* m;
  const Groups& groups;
  std::int64_t channel, q;

  [[gnu::always_inline]] Vec<float> at(int r, int s, int slab) const {
    return load(m + groups.at(r, s, channel, q) + slab * groups.slab());
  }
  /// to = m_oo A: row r of products, 0 <= r < 5; or m_eo A: slab `slab` of row 5.
  [[gnu::always_inline]] void columns(int r, int slab, Vec<float> (&to)[kTile]) const {
    Vec<float> row[kOdd];
#pragma GCC unroll 5
    for (int s = 0; s < kOdd; ++s) row[s] = at(r, s, slab);
    output_side(row, 1, to, 1);
  }
};

/// y = A^T (m_oo A + m_oe) + (m_eo A + m_ee) + bias for one channel.
void transform_output(const TileVector& tiles, const Products& m, float bias, float* channel) {
  Vec<float> rows[kOdd][kTile], y[kTile][kTile];
#pragma GCC unroll 5
  for (int r = 0; r < kOdd; ++r) {
    m.columns(r, 0, rows[r]);
#pragma GCC unroll 4
    for (int k = 0; k < kTile; ++k) rows[r][k] += m.at(r, kOdd, k);
  }
#pragma GCC unroll 4
  for (int k = 0; k < kTile; ++k) output_side(&rows[0][k], kTile, &y[0][k], kTile);
#pragma GCC unroll 4
  for (int i = 0; i < kTile; ++i) {
    Vec<float> even[kTile];
    m.columns(kOdd, i, even);
#pragma GCC unroll 4
    for (int k = 0; k < kTile; ++k) y[i][k] += even[k] + m.at(kOdd, kOdd, i * kTile + k) + bias;
    tiles.store_row(y[i], i, channel);
  }
}

/// The phases of dx for one channel.
void transform_output(const StridedVector& tiles, const Products& m, float /*bias*/, float* channel) {
  Vec<float> rows[kOdd][kTile], odd[kTile][kTile], even[kTile][kTile];
#pragma GCC unroll 5
  for (int r = 0; r < kOdd; ++r) m.columns(r, 0, rows[r]);
#pragma GCC unroll 4
  for (int k = 0; k < kTile; ++k) {
    Vec<float> column[kOdd];
    output_side(&rows[0][k], kTile, &odd[0][k], kTile);
#pragma GCC unroll 5
    for (int r = 0; r < kOdd; ++r) column[r] = m.at(r, kOdd, k);
    output_side(column, 1, &even[0][k], kTile);
  }
#pragma GCC unroll 4
  for (int i = 0; i < kTile; ++i) {
    tiles.store_row(odd[i], even[i], 2 * i + 1, channel);
    m.columns(kOdd, i, odd[i]);
#pragma GCC unroll 4
    for (int k = 0; k < kTile; ++k) even[i][k] = m.at(kOdd, kOdd, i * kTile + k);
    tiles.store_row(odd[i], even[i], 2 * i, channel);
  }
}

/// Output channels that go through products and transform together: blocks of 6 channels and less.
constexpr std::int64_t kPartChannels = 12;
constexpr std::int64_t kMostPartChannels = kPartChannels + kTileChannels - 1;

/// Calls f(begin, end) for parts of the output channels.
template <class F>
void for_each_part(std::int64_t channels, const F& f) {
  std::int64_t begin = 0;
  for_each_block(channels, [&](std::int64_t o, auto block) {
    const std::int64_t end = o + block;
    if (end - begin < kPartChannels && end < channels) return;
    f(begin, end);
    begin = end;
  });
}

std::int64_t part_count(std::int64_t channels) {
  std::int64_t count = 0;
  for_each_part(channels, [&](std::int64_t, std::int64_t) { ++count; });
  return count;
}

/// m = u v for a group, output channels [begin, end) and a unit of kVectors vectors.
template <int kVectors>
void multiply_group(const Filters& filters, int r, int s, std::int64_t begin, std::int64_t end,
                    const float* v, float* m) {
  const int group = r * kSide + s;
  const std::int64_t step = group_slabs(r, s) * kVectors * kLane;
  if (group_slabs(r, s) == 1) return filters.multiply<kVectors>(group, begin, end, v, step, m, step);
  for (std::int64_t part = 0; part < step; part += kTileVectors * kLane)
    filters.multiply<kTileVectors>(group, begin, end, v + part, step, m + part, step);
}

using Multiply = void (*)(const Filters&, int, int, std::int64_t, std::int64_t, const float*, float*);
constexpr std::array<Multiply, 4> kMultiply{&multiply_group<1>, &multiply_group<2>, &multiply_group<3>,
                                            &multiply_group<4>};

/// The most vectors a unit may have, such that its scratch stays in a core's cache.
std::int64_t most_vectors(std::int64_t channels) {
  constexpr std::int64_t kUnitBytes = std::int64_t{640} << 10;
  std::int64_t most = kUnitVectors;
  while (most > 1 && Groups::size(channels + kMostPartChannels, most) * 4 > kUnitBytes) most /= 2;
  return most;
}

/// One convolution. In and Out are vectors of tiles of x and y: StridedVector and TileVector, or of dy and dx.
template <class In, class Out>
struct Convolution {
  typename In::Planes in;
  typename Out::Planes out;
  const Filters& filters;
  const float* x;
  const float* bias;  ///< may be null
  float* y;

  static std::int64_t scratch(const Filters& filters, std::int64_t vectors) {
    return Groups::size(filters.in(), vectors) + Groups::size(kMostPartChannels, vectors);
  }

  /// Vectors [begin, end), with others behind them up to `last`.
  void run_unit(std::int64_t begin, std::int64_t end, std::int64_t last, float* v) const {
    const std::int64_t vectors = end - begin;
    const Groups groups(filters.in(), vectors);
    float* m = v + Groups::size(filters.in(), vectors);
    for (std::int64_t q = 0; q < vectors; ++q) {
      const In tiles(in, begin + q);
      for (std::int64_t c = 0; c < filters.in(); ++c)
        transform_input(tiles, x + c * in.plane(), groups, c, q, v);
    }
    In next[kUnitVectors];
    Out tiles[kUnitVectors];
    for (std::int64_t q = 0; q < vectors; ++q) {
      if (end + q < last) next[q] = In(in, end + q);
      tiles[q] = Out(out, begin + q);
    }
    Fetcher<In, false> pixels(next, vectors, x, in.plane(), end < last ? filters.in() : 0,
                              kSlabs * part_count(filters.out()));
    for_each_part(filters.out(), [&](std::int64_t first, std::int64_t part_end) {
      const Groups parts(part_end - first, vectors);
      Fetcher<Out, true> results(tiles, vectors, y + first * out.plane(), out.plane(), part_end - first,
                                 kSlabs);
      for (int r = 0; r < kSide; ++r)
        for (int s = 0; s < kSide; ++s) {
          kMultiply[static_cast<std::size_t>(vectors - 1)](filters, r, s, first, part_end,
                                                           v + groups.at(r, s), m + parts.at(r, s));
          pixels.step();
          results.step();
        }
      for (std::int64_t q = 0; q < vectors; ++q)
        for (std::int64_t o = first; o < part_end; ++o)
          transform_output(tiles[q], {m, parts, o - first, q}, bias != nullptr ? bias[o] : 0,
                           y + o * out.plane());
    });
  }
};

template <class Planes>
Planes planes_of(const Tensor& x) {
  return Planes(x.shape()[0], x.shape()[1], x.shape()[2], x.shape()[3]);
}

template <class In, class Out>
void convolve(const Tensor& x, const Filters& filters, const Tensor& bias, Tensor& y, std::int64_t vectors) {
  const Convolution<In, Out> convolution{planes_of<typename In::Planes>(x),
                                         planes_of<typename Out::Planes>(y),
                                         filters,
                                         x.data<float>(),
                                         bias.defined() ? bias.data<float>() : nullptr,
                                         y.mutable_data<float>()};
  const std::int64_t most = most_vectors(filters.in());
  BatchSlots<float> slots(vectors, convolution.scratch(filters, most),
                          kProducts * filters.in() * filters.out() * kLane);
  slots.run([&](float* scratch, std::int64_t begin, std::int64_t end) {
    for_each_unit(begin, end, most,
                  [&](std::int64_t first, std::int64_t last) { convolution.run_unit(first, last, end, scratch); });
  });
}

/// Vectors of tiles of y.
std::int64_t vectors_of(const Conv2dGeometry& g) { return TilePlanes(g.n, g.o, g.oh, g.ow).vectors(); }

}  // namespace

}  // namespace winograd::strided

bool winograd_strided_fits(const Conv2dGeometry& g) {
  constexpr std::int64_t kFewestChannels = 8;  // below, the transforms take longer than the products
  const Conv2dOptions& o = g.options;
  const bool halves3x3 = g.kh == 3 && g.kw == 3 && o.stride == Size2d(2) && o.padding == Size2d(1) &&
                         o.dilation == Size2d(1) && o.groups == 1 && g.h % 2 == 0 && g.w % 2 == 0;
  return halves3x3 && o.algorithm == Conv2dAlgorithm::automatic && std::min(g.c, g.o) >= kFewestChannels &&
         winograd::TilePlanes::fits(g.oh, g.ow);
}

void winograd_strided_forward(const Conv2dGeometry& g, const Tensor& x, const Tensor& weight,
                              const Tensor& bias, Tensor& y) {
  using namespace winograd;
  const float* w = weight.data<float>();
  const Filters filters(g.o, g.c, strided::kG, [=](std::int64_t o, std::int64_t c, std::int64_t t) {
    return w[(o * g.c + c) * 9 + t];
  });
  strided::convolve<strided::StridedVector, TileVector>(x, filters, bias, y, strided::vectors_of(g));
}

void winograd_strided_backward_data(const Conv2dGeometry& g, const Tensor& dy, const Tensor& weight,
                                    Tensor& dx) {
  using namespace winograd;
  const float* w = weight.data<float>();
  const Filters turned(g.c, g.o, strided::kG, [=](std::int64_t c, std::int64_t o, std::int64_t t) {
    return w[(o * g.c + c) * 9 + 8 - t];
  });
  strided::convolve<TileVector, strided::StridedVector>(dy, turned, Tensor(), dx, strided::vectors_of(g));
}

}  // namespace retrace::cpu
