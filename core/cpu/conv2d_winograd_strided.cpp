// Convolutions with 3 x 3 filters, stride 2 and padding 1 as Winograd's F(4 x 4, 2 x 2) on the phases of x:
// see winograd_strided.h.
//
// The lanes of a vector are tiles. Each vector goes through three steps, whose scratch stays in a core's
// cache; the last two take some output channels at a time:
//   v[g][slab][c] = the transformed pixels of each channel c
//   m[g][slab][o] = sum over c of u[g][o][c] v[g][slab][c]          for each group g of 36, with u = G w G^T
//   y[o] = A^T (m_oo A + m_oe) + (m_eo A + m_ee) + bias[o]          o: odd, e: even rows, then columns
// Backward data has dy for x and turned filters; there the four parts of m are the four phases of dx:
//   A^T m_oo A, A^T m_oe, m_eo A and m_ee
#include <retrace/core/cpu/winograd_fetch.h>
#include <retrace/core/cpu/winograd_filters.h>
#include <retrace/core/cpu/winograd_strided_tiles.h>
#include <retrace/core/data_or_null.h>

namespace retrace::cpu {

namespace winograd::strided {

namespace {

/// The transformed pixels of channel c of dy: the odd pixels of dx see two of a row, the even ones see one.
void transform_input(const TileVector& tiles, const float* channel, std::int64_t c, Groups groups, float* v) {
  Vec<float> rows[kOdd][kOdd + kTile];  // d B, then d
#pragma GCC unroll 5
  for (int r = 0; r < kOdd; ++r) {
    Vec<float> pixels[kTile], d[kSide];
#pragma GCC unroll 4
    for (int j = 0; j < kTile; ++j) pixels[j] = tiles.load_part(channel, r, j);
    tiles.columns_of(pixels, d);
    input_side(&d[1], 1, rows[r], 1);
#pragma GCC unroll 4
    for (int k = 0; k < kTile; ++k) rows[r][kOdd + k] = d[1 + k];
  }
  put_columns(
      rows, [](auto... side) { input_side(side...); },
      [=](int r, int s, std::int64_t slab, const Vec<float>& value) {
        store<float>(v + groups.at(r, s, c) + slab * kLane, value);
      });
}

/// The products of one channel.
struct Products {
  const float* m;
  Groups groups;
  std::int64_t channel;

  [[gnu::always_inline]] Vec<float> at(int r, int s, int slab) const {
    return load(m + groups.at(r, s, channel) + slab * kLane);
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
void transform_output(const TileVector& tiles, const Products& m, float bias, float* channel,
                      bool past_caches) {
  Vec<float> rows[kOdd][kTile], y[kTile][kTile], pixels[kTile][kTile];
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
    tiles.pixels_of(y[i], pixels[i]);
  }
  tiles.store_rows(pixels, channel, past_caches);
}

/// The phases of dx for one channel.
void transform_output(const StridedVector& tiles, const Products& m, float /*bias*/, float* channel,
                      bool past_caches) {
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
    tiles.store_row(odd[i], even[i], 2 * i + 1, channel, past_caches);
    m.columns(kOdd, i, odd[i]);
#pragma GCC unroll 4
    for (int k = 0; k < kTile; ++k) even[i][k] = m.at(kOdd, kOdd, i * kTile + k);
    tiles.store_row(odd[i], even[i], 2 * i, channel, past_caches);
  }
}

/// m = u v for a group and output channels [begin, end). Calls before_block() in front of each block of them
/// and of kVectors of its slabs, or the one.
template <class F>
void multiply_group(const Filters& filters, int r, int s, std::int64_t begin, std::int64_t end,
                    const float* v, float* m, const F& before_block) {
  constexpr int kVectors = kTileVectors;
  constexpr int kFew = kTile;
  constexpr int kMany = kTile * kTile;
  const int group = r * kSide + s;
  const int slabs = group_slabs(r, s);
  if (slabs == 1) return filters.multiply<1>(group, begin, end, v, m, before_block);
  for (int k = 0; k < slabs; k += kVectors)
    if (slabs == kFew)
      filters.multiply<kVectors, kFew>(group, begin, end, v + k * kLane, m + k * kLane, before_block);
    else
      filters.multiply<kVectors, kMany>(group, begin, end, v + k * kLane, m + k * kLane, before_block);
}
/// How often multiply_group calls before_block() for all groups and one block.
constexpr std::int64_t kBlockCalls = kOdd * kOdd + (kProducts - kOdd * kOdd) / kTileVectors;

/// Output channels that go through products and transform together, or a few more.
constexpr std::int64_t kPartChannels = 36;
constexpr std::int64_t kMostPartChannels = kPartChannels + kTileChannels - 1;

/// Calls f(begin, end, blocks) for parts of kPartChannels output channels, or a few more to end with a block.
template <class F>
void for_each_part(std::int64_t channels, const F& f) {
  std::int64_t begin = 0;
  std::int64_t blocks = 0;
  for_each_block(channels, [&](std::int64_t o, auto block) {
    const std::int64_t end = o + block;
    ++blocks;
    if (end - begin < kPartChannels && end < channels) return;
    f(begin, end, blocks);
    begin = end;
    blocks = 0;
  });
}

/// One convolution. In and Out are vectors of tiles of x and y: StridedVector and TileVector, or of dy and
/// dx.
template <class In, class Out>
struct Convolution {
  typename In::Planes in;
  typename Out::Planes out;
  const Filters& filters;
  const float* x;
  const float* bias;  ///< may be null
  float* y;
  Groups groups;
  bool past_caches;  ///< y is written so

  std::int64_t scratch() const {
    return groups.size() + Groups(std::min(filters.out(), kMostPartChannels)).size();
  }

  /// For one vector of tiles.
  void run(const Unit& unit, float* v) const {
    const In pixels(in, unit.begin);
    for (std::int64_t c = 0; c < filters.in(); ++c) transform_input(pixels, x + c * in.plane(), c, groups, v);
    Fetch<false> next(in, x, filters.in(), unit.end, unit.next_end, kBlockCalls * filters.blocks());
    const Out tiles(out, unit.begin);
    for_each_part(filters.out(), [&](std::int64_t begin, std::int64_t end, std::int64_t blocks) {
      Fetch<true> results(out, y + begin * out.plane(), end - begin, unit.begin,
                          past_caches ? unit.begin : unit.end, kBlockCalls * blocks);
      run_part(tiles, begin, end, v, [&] {
        results.piece();
        next.piece();
      });
    });
  }

  /// For output channels [begin, end).
  template <class F>
  void run_part(const Out& tiles, std::int64_t begin, std::int64_t end, float* v, const F& fetch) const {
    const Groups parts(end - begin);
    float* m = v + groups.size();
    for (int r = 0; r < kSide; ++r)
      for (int s = 0; s < kSide; ++s)
        multiply_group(filters, r, s, begin, end, v + groups.at(r, s), m + parts.at(r, s), fetch);
    for (std::int64_t o = begin; o < end; ++o)
      transform_output(tiles, {m, parts, o - begin}, bias != nullptr ? bias[o] : 0, y + o * out.plane(),
                       past_caches);
  }
};

template <class In, class Out>
void convolve(const Tensor& x, const Filters& filters, const Tensor& bias, Tensor& y) {
  const Convolution<In, Out> convolution{typename In::Planes(x.shape()),
                                         typename Out::Planes(y.shape()),
                                         filters,
                                         x.data<float>(),
                                         retrace::detail::data_or_null<float>(bias),
                                         y.mutable_data<float>(),
                                         Groups(filters.in()),
                                         streams<float>(x, y)};
  BatchTasks<float> tasks(convolution.in.vectors(), convolution.scratch(),
                          kProducts * filters.in() * filters.out() * kLane);
  tasks.run([&](float* scratch, std::int64_t begin, std::int64_t end) {
    for_each_unit(begin, end, 1, [&](const Unit& unit) { convolution.run(unit, scratch); });
    end_stream();
  });
}

}  // namespace

}  // namespace winograd::strided

bool winograd_strided_fits(const Conv2dGeometry& g) {
  // Below, the transforms take longer than the products, of which narrow vectors make less in the same time.
  constexpr std::int64_t kFewestChannels = kVectorBytes == 64 ? 8 : 16;
  return g.is_3x3(2) && g.h % 2 == 0 && g.w % 2 == 0 && g.options.algorithm == Conv2dAlgorithm::automatic &&
         std::min(g.c, g.o) >= kFewestChannels && winograd::TilePlanes::fits(g.oh, g.ow);
}

void winograd_strided_forward(const Tensor& x, const Tensor& weight, const Tensor& bias, Tensor& y) {
  using namespace winograd;
  const Filters filters(weight, FilterUse::forward, strided::kG);
  strided::convolve<strided::StridedVector, TileVector>(x, filters, bias, y);
}

void winograd_strided_backward_data(const Tensor& dy, const Tensor& weight, Tensor& dx) {
  using namespace winograd;
  const Filters filters(weight, FilterUse::backward_data, strided::kG);
  strided::convolve<TileVector, strided::StridedVector>(dy, filters, Tensor(), dx);
}

}  // namespace retrace::cpu
