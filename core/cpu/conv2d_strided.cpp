// Convolutions with 3 x 3 filters, stride 2 and padding 1 of images with even sides, without im2col.
//
// Forward: output pixel (i, j) sees rows 2i - 1, 2i and 2i + 1 and such columns. An image (a strip of its
// rows) is copied three times, once for each column of the filter, with every second column, and first the
// odd rows, then the even ones. So the inputs of a filter element for a run of output pixels are a run.
//
// Backward data: four convolutions of stride 1, one for each parity of row and column of dx:
//   dx[2i][2j]         = w[1][1] dy[i][j]
//   dx[2i][2j + 1]     = w[1][2] dy[i][j] + w[1][0] dy[i][j + 1]
//   dx[2i + 1][2j]     = w[2][1] dy[i][j] + w[0][1] dy[i + 1][j]
//   dx[2i + 1][2j + 1] = w[2][2] dy[i][j] + w[2][0] dy[i][j + 1] + w[0][2] dy[i + 1][j] + w[0][0] dy[i + 1][j
//   + 1]
//
// Backward weight: the lanes are output channels, dy is transposed to [pixel][lane], and
//   dw[lanes][c][u][v] = sum over pixels (i, j) of dy[i][j][lanes] x[c][2i - 1 + u][2j - 1 + v]
// keeps its nine sums in registers for a whole strip.
#include <retrace/core/cpu/conv2d_lanes.h>
#include <retrace/core/data_or_null.h>

namespace retrace::cpu {

namespace {

constexpr int kTaps = 9;

template <class T>
constexpr int kHalf = kLanes<T> / 2;

template <class T, std::size_t... k>
[[gnu::always_inline]] inline Vec<T> evens_then_odds(const Vec<T>& v, std::index_sequence<k...>) {
  return __builtin_shufflevector(v, v,
                                 (static_cast<int>(k) * 2 % kLanes<T> + static_cast<int>(k) / kHalf<T>)...);
}

template <class T, std::size_t... k>
[[gnu::always_inline]] inline Vec<T> interleaved_halves(const Vec<T>& v, std::index_sequence<k...>) {
  return __builtin_shufflevector(v, v, (static_cast<int>(k) / 2 + static_cast<int>(k) % 2 * kHalf<T>)...);
}

/// even[j] = from[2 j] and odd[j] = again[j] = from[2 j + 1], for j < n.
template <class T>
void split_row(const T* from, std::int64_t n, T* even, T* odd, T* again) {
  constexpr std::size_t kBytes = kHalf<T> * sizeof(T);
  std::int64_t j = 0;
  for (; j + kHalf<T> <= n; j += kHalf<T>) {
    const Vec<T> v = evens_then_odds<T>(load(from + 2 * j), std::make_index_sequence<kLanes<T>>{});
    std::memcpy(even + j, &v, kBytes);
    std::memcpy(odd + j, reinterpret_cast<const char*>(&v) + kBytes, kBytes);
    std::memcpy(again + j, reinterpret_cast<const char*>(&v) + kBytes, kBytes);
  }
  for (; j < n; ++j) {
    even[j] = from[2 * j];
    odd[j] = again[j] = from[2 * j + 1];
  }
}

/// to[2 j] = even[j] and to[2 j + 1] = odd[j], for j < n.
template <class T>
void join_row(const T* even, const T* odd, std::int64_t n, T* to) {
  constexpr std::size_t kBytes = kHalf<T> * sizeof(T);
  std::int64_t j = 0;
  for (; j + kHalf<T> <= n; j += kHalf<T>) {
    Vec<T> v;
    std::memcpy(&v, even + j, kBytes);
    std::memcpy(reinterpret_cast<char*>(&v) + kBytes, odd + j, kBytes);
    store<T>(to + 2 * j, interleaved_halves<T>(v, std::make_index_sequence<kLanes<T>>{}));
  }
  for (; j < n; ++j) {
    to[2 * j] = even[j];
    to[2 * j + 1] = odd[j];
  }
}

/// The copies of the channels of a strip of output rows that the forward tile reads.
template <class T>
class SplitCopies {
 public:
  explicit SplitCopies(const Conv2dGeometry& g)
      : g_(g),
        rows_(strip_rows(6 * g.c * g.ow * static_cast<std::int64_t>(sizeof(T)), g.oh)),
        copy_((2 * rows_ + 1) * g.ow + kLanes<T>),
        taps_{g.c, 3 * copy_, {}} {
    const std::int64_t starts[3] = {0, even_rows(), g.ow};
    for (std::int64_t t = 0; t < kTaps; ++t)
      taps_.offsets[static_cast<std::size_t>(t)] = t % 3 * copy_ + starts[t / 3];
  }

  std::int64_t rows() const { return rows_; }
  /// Elements of the buffer. The last tile reads beyond the last copy, and ignores what it gets.
  std::int64_t size() const { return g_.c * taps_.channel_stride + kTilePixels<T>; }
  const Taps<kTaps>& taps() const { return taps_; }

  /// Fills the buffer from an image [c, h, w].
  void fill(const T* image, const Strip& strip, T* buffer) const {
    for (std::int64_t c = 0; c < g_.c; ++c, image += g_.plane(), buffer += taps_.channel_stride) {
      for (std::int64_t i = strip.begin; i <= strip.end; ++i)
        fill_row(i > 0 ? image + (2 * i - 1) * g_.w : nullptr, buffer + (i - strip.begin) * g_.ow);
      for (std::int64_t i = strip.begin; i < strip.end; ++i)
        fill_row(image + 2 * i * g_.w, buffer + even_rows() + (i - strip.begin) * g_.ow);
    }
  }

 private:
  std::int64_t even_rows() const { return (rows_ + 1) * g_.ow; }

  /// A row of zeros if `from` is null.
  void fill_row(const T* from, T* to) const {
    T* copies[3] = {to, to + copy_, to + 2 * copy_};
    if (from == nullptr) {
      for (T* copy : copies) std::fill(copy, copy + g_.ow, T{0});
      return;
    }
    // The last element of the shifted copy lies in the next row, or between the copies: it is written over,
    // or never read.
    copies[0][0] = 0;
    split_row(from, g_.ow, copies[1], copies[0] + 1, copies[2]);
  }

  const Conv2dGeometry& g_;
  std::int64_t rows_, copy_;
  Taps<kTaps> taps_;
};

/// The filter elements that reach inputs of one parity of row and column (0: even), in the order of their
/// taps.
struct Parity {
  std::int64_t row, column;
  std::int64_t columns() const { return 1 + column; }
  std::int64_t taps() const { return (1 + row) * columns(); }
  /// Tap t sees dy[i + down(t)][j + right(t)].
  std::int64_t down(std::int64_t t) const { return t / columns(); }
  std::int64_t right(std::int64_t t) const { return t % columns(); }
  std::int64_t element(std::int64_t t) const {
    return (row == 0 ? 1 : 2 - 2 * down(t)) * 3 + (column == 0 ? 1 : 2 - 2 * right(t));
  }
};
constexpr Parity kParities[4] = {{0, 0}, {0, 1}, {1, 0}, {1, 1}};

/// dy and dy one column further, for strips of its rows with the row below.
template <class T>
class GradientCopies {
 public:
  explicit GradientCopies(const Conv2dGeometry& g)
      : g_(g),
        rows_(strip_rows(2 * g.o * g.ow * static_cast<std::int64_t>(sizeof(T)), g.oh)),
        copy_((rows_ + 1) * g.ow) {}

  std::int64_t rows() const { return rows_; }
  std::int64_t size() const { return g_.o * 2 * copy_ + kTilePixels<T>; }

  template <int kCount>
  Taps<kCount> taps(const Parity& parity) const {
    Taps<kCount> taps{g_.o, 2 * copy_, {}};
    for (std::int64_t t = 0; t < kCount; ++t)
      taps.offsets[static_cast<std::size_t>(t)] = parity.right(t) * copy_ + parity.down(t) * g_.ow;
    return taps;
  }

  void fill(const T* planes, const Strip& strip, T* buffer) const {
    const std::int64_t pixels = (std::min(strip.end + 1, g_.oh) - strip.begin) * g_.ow;
    const std::int64_t end = (strip.rows() + 1) * g_.ow;
    for (std::int64_t o = 0; o < g_.o; ++o, buffer += 2 * copy_) {
      const T* from = planes + o * g_.out_plane() + strip.begin * g_.ow;
      T* shifted = buffer + copy_;
      std::copy(from, from + pixels, buffer);
      std::copy(from + 1, from + pixels, shifted);
      for (std::int64_t p = g_.ow - 1; p < pixels; p += g_.ow) shifted[p] = 0;
      std::fill(buffer + pixels, buffer + end, T{0});
      std::fill(shifted + pixels, shifted + end, T{0});
    }
  }

 private:
  const Conv2dGeometry& g_;
  std::int64_t rows_, copy_;
};

/// The four kinds of pixels of kBlock channels of a strip of dx, from filters packed for each parity.
template <int kBlock, class T>
void convolve_parities(const Conv2dGeometry& g, const GradientCopies<T>& copies, const T* source,
                       const T* const (&weights)[4], const Strip& strip, T* parts, T* dx) {
  const std::int64_t pixels = strip.rows() * g.ow;
  const std::int64_t part = kBlock * pixels;
  const auto run = [&](const auto& taps, std::size_t k) {
    Lines<false> none;
    convolve_block<kBlock>(taps, source, weights[k], static_cast<const T*>(nullptr),
                           Outputs<T>{parts + static_cast<std::int64_t>(k) * part, pixels, pixels}, none);
  };
  run(copies.template taps<1>(kParities[0]), 0);
  run(copies.template taps<2>(kParities[1]), 1);
  run(copies.template taps<2>(kParities[2]), 2);
  run(copies.template taps<4>(kParities[3]), 3);
  for (std::int64_t k = 0; k < kBlock; ++k)
    for (std::int64_t i = 0; i < strip.rows(); ++i)
      for (std::int64_t row = 0; row < 2; ++row) {
        const T* even = parts + 2 * row * part + k * pixels + i * g.ow;
        join_row(even, even + part, g.ow, dx + k * g.plane() + (2 * (strip.begin + i) + row) * g.w);
      }
}

/// Adds the products of a strip to the sums [kTaps][lane] of kVectors blocks of channels, which are
/// `sums_stride` apart; so are their gradients by `dy_stride`.
template <int kVectors, class T>
void accumulate_strided(const T* dy, std::int64_t dy_stride, const T* x, std::int64_t row_stride,
                        std::int64_t rows, std::int64_t columns, T* sums, std::int64_t sums_stride) {
  Vec<T> acc[kTaps][kVectors] = {};
  for (std::int64_t i = 0; i < rows; ++i) {
    const T* from = x + 2 * i * row_stride;
    for (std::int64_t j = 0; j < columns; ++j, dy += kLanes<T>, from += 2) {
      Vec<T> d[kVectors];
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) d[v] = load(dy + v * dy_stride);
#pragma GCC unroll 9
      for (int t = 0; t < kTaps; ++t) {
        const Vec<T> value = splat(from[t / 3 * row_stride + t % 3]);
#pragma GCC unroll 2
        for (int v = 0; v < kVectors; ++v) acc[t][v] += d[v] * value;
      }
    }
  }
#pragma GCC unroll 2
  for (int v = 0; v < kVectors; ++v)
#pragma GCC unroll 9
    for (int t = 0; t < kTaps; ++t) {
      T* sum = sums + v * sums_stride + t * kLanes<T>;
      store<T>(sum, load(sum) + acc[t][v]);
    }
}

/// What backward weight needs of a strip of output rows, in a buffer: rows of x with a column of zeros on the
/// left, and dy as [block of channels][pixel][lane].
template <class T>
class StridedProducts {
 public:
  explicit StridedProducts(const Conv2dGeometry& g)
      : g_(g),
        rows_(strip_rows(2 * g.c * row_stride() * static_cast<std::int64_t>(sizeof(T)), g.oh)),
        padded_((2 * rows_ + 1) * row_stride()) {}

  std::int64_t rows() const { return rows_; }
  std::int64_t block_sums() const { return g_.c * kTaps * kLanes<T>; }
  std::int64_t size() const { return g_.c * padded_ + kVectors * lanes_size(); }

  /// Adds the products of a strip of an image to the sums of all channels.
  void add(const T* image, const T* dy, const Strip& strip, T* buffer, T* sums) const {
    pad(image, strip, buffer);
    for (std::int64_t o = 0; o < g_.o; o += kVectors * kLanes<T>, sums += kVectors * block_sums())
      if (kVectors == 1 || g_.o - o <= kLanes<T>)
        add_blocks<1>(dy, o, strip, buffer, sums);
      else
        add_blocks<kVectors>(dy, o, strip, buffer, sums);
  }

 private:
  static constexpr int kVectors = kVectorBytes == 64 ? 2 : 1;  // times kTaps sums in registers

  std::int64_t row_stride() const { return g_.w + 1; }
  std::int64_t lanes_size() const { return rows_ * g_.ow * kLanes<T>; }

  void pad(const T* image, const Strip& strip, T* to) const {
    for (std::int64_t c = 0; c < g_.c; ++c, to += padded_ - (2 * strip.rows() + 1) * row_stride())
      for (std::int64_t row = 2 * strip.begin - 1; row < 2 * strip.end; ++row, to += row_stride()) {
        to[0] = 0;
        const T* from = image + c * g_.plane() + row * g_.w;
        if (row < 0)
          std::fill(to, to + row_stride(), T{0});
        else
          std::copy(from, from + g_.w, to + 1);
      }
  }

  template <int kBlocks>
  void add_blocks(const T* dy, std::int64_t o, const Strip& strip, T* buffer, T* sums) const {
    T* lanes = buffer + g_.c * padded_;
    for (std::int64_t v = 0; v < kBlocks; ++v) {
      T* to = lanes + v * lanes_size();
      const std::int64_t first = o + v * kLanes<T>;
      for_each_pixel(dy + first * g_.out_plane() + strip.begin * g_.ow, g_.out_plane(),
                     std::min<std::int64_t>(kLanes<T>, g_.o - first), strip.rows() * g_.ow,
                     [&](const Vec<T>& pixel) {
                       store<T>(to, pixel);
                       to += kLanes<T>;
                     });
    }
    for (std::int64_t c = 0; c < g_.c; ++c)
      accumulate_strided<kBlocks>(lanes, lanes_size(), buffer + c * padded_, row_stride(), strip.rows(),
                                  g_.ow, sums + c * kTaps * kLanes<T>, block_sums());
  }

  const Conv2dGeometry& g_;
  std::int64_t rows_, padded_;
};

}  // namespace

bool strided3x3_fits(const Conv2dGeometry& g) {
  // Planes much smaller than a tile of pixels would waste most of it, and so would few channels a vector.
  const bool large = g.out_plane() * 2 >= kTilePixels<float> && g.o >= 4;
  return g.is_3x3(2) && g.h % 2 == 0 && g.w % 2 == 0 && large;
}

template <class T>
void strided3x3_forward(const Conv2dGeometry& g, const Tensor& x, const Tensor& weight, const Tensor& bias,
                        Tensor& y) {
  const SplitCopies<T> copies(g);
  const T* w = weight.data<T>();
  const PackedFilters<T> filters(g.o, g.c, kTaps, [=](std::int64_t o, std::int64_t c, std::int64_t t) {
    return w[(o * g.c + c) * kTaps + t];
  });
  const T* b = retrace::detail::data_or_null<T>(bias);
  const T* from = x.data<T>();
  const BatchOutputs<T> outputs(x, y);
  BatchTasks<T> tasks(g.n, copies.size(), g.products());
  tasks.run([&](T* buffer, std::int64_t begin, std::int64_t end) {
    for (std::int64_t n = begin; n < end; ++n)
      for_each_strip(g.oh, copies.rows(), [&](const Strip& strip) {
        copies.fill(from + n * g.c * g.plane(), strip, buffer);
        convolve_tiles<kTaps>(copies.taps(), buffer, filters.data(), b, g.o, outputs.at(n, strip));
      });
    end_stream();
  });
}

template <class T>
void strided3x3_backward_data(const Conv2dGeometry& g, const Tensor& dy, const Tensor& weight, Tensor& dx) {
  const GradientCopies<T> copies(g);
  Tensor packed({g.o * g.depth()}, dtype_of<T>(), Tag::workspace);
  T* weights = packed.mutable_data<T>();
  const T* w = weight.data<T>();
  std::int64_t starts[4] = {};
  for (std::size_t k = 0; k < 4; ++k) {
    if (k > 0) starts[k] = starts[k - 1] + kParities[k - 1].taps() * g.c * g.o;
    const auto filter = [&](std::int64_t c, std::int64_t o, std::int64_t t) {
      return w[(o * g.c + c) * kTaps + kParities[k].element(t)];
    };
    pack_filters(g.c, g.o, kParities[k].taps(), filter, weights + starts[k]);
  }
  const std::int64_t parts_size = 4 * kTileChannels * copies.rows() * g.ow;
  const T* from = dy.data<T>();
  T* to = dx.mutable_data<T>();
  BatchTasks<T> tasks(g.n, copies.size() + parts_size, g.products());
  tasks.run([&](T* parts, std::int64_t begin, std::int64_t end) {
    T* buffer = parts + parts_size;
    for (std::int64_t n = begin; n < end; ++n)
      for_each_strip(g.oh, copies.rows(), [&](const Strip& strip) {
        copies.fill(from + n * g.o * g.out_plane(), strip, buffer);
        for_each_block(g.c, [&](std::int64_t c, auto size) {
          const T* filters[4];
          for (std::size_t k = 0; k < 4; ++k)
            filters[k] = weights + starts[k] + c * g.o * kParities[k].taps();
          convolve_parities<decltype(size)::value>(g, copies, static_cast<const T*>(buffer), filters, strip,
                                                   parts, to + (n * g.c + c) * g.plane());
        });
      });
  });
}

template <class T>
void strided3x3_backward_weight(const Conv2dGeometry& g, const Tensor& dy, const Tensor& x, Tensor& dw) {
  const StridedProducts<T> products(g);
  const std::int64_t sums_size = task_count(g.o, std::int64_t{kLanes<T>}) * products.block_sums();
  const T* from_dy = dy.data<T>();
  const T* from_x = x.data<T>();
  BatchSlots<T> slots(g.n, sums_size + products.size(), g.products());
  slots.run([&](T* sums, std::int64_t begin, std::int64_t end) {
    std::fill(sums, sums + sums_size, T{0});
    for (std::int64_t n = begin; n < end; ++n)
      for_each_strip(g.oh, products.rows(), [&](const Strip& strip) {
        products.add(from_x + n * g.c * g.plane(), from_dy + n * g.o * g.out_plane(), strip, sums + sums_size,
                     sums);
      });
  });
  write_lane_sums(g, slots.sum(sums_size), dw.mutable_data<T>());
}

template void strided3x3_forward<float>(const Conv2dGeometry&, const Tensor&, const Tensor&, const Tensor&,
                                        Tensor&);
template void strided3x3_forward<double>(const Conv2dGeometry&, const Tensor&, const Tensor&, const Tensor&,
                                         Tensor&);
template void strided3x3_backward_data<float>(const Conv2dGeometry&, const Tensor&, const Tensor&, Tensor&);
template void strided3x3_backward_data<double>(const Conv2dGeometry&, const Tensor&, const Tensor&, Tensor&);
template void strided3x3_backward_weight<float>(const Conv2dGeometry&, const Tensor&, const Tensor&, Tensor&);
template void strided3x3_backward_weight<double>(const Conv2dGeometry&, const Tensor&, const Tensor&,
                                                 Tensor&);

}  // namespace retrace::cpu
