// Convolutions with 1 x 1 filters and no padding, of any stride: products of a matrix with planes of pixels.
// They do little work for what they read: all output channels of a strip of rows are computed while it is in
// a core's cache, and meanwhile the next strip is fetched. With a stride, the pixels that the filter sees are
// copied first, if vectors of them can't be read where they are.
//
// Backward weight: the lanes are channels of x or of dy, whichever has fewer. They are transposed to
// [pixel][lane], and their products with pixels of the other's channels are summed in registers.
#include <retrace/core/cpu/conv2d_lanes.h>
#include <retrace/core/data_or_null.h>

#include <type_traits>

namespace retrace::cpu {

namespace {

/// The images of a tensor [n, channels, height, width].
template <class T>
struct Images {
  T* data;
  std::int64_t n, channels, height, width;

  std::int64_t plane() const { return height * width; }
  /// The first channel of an image, from a row on.
  T* at(std::int64_t image, std::int64_t row) const {
    return data + (image * channels * height + row) * width;
  }
};

/// The strip of `rows` rows that follows, maybe in the next image.
template <class T>
Lines<false> after(const Images<const T>& images, std::int64_t image, const Strip& strip, std::int64_t rows) {
  const bool last = strip.end == images.height;
  if (last && image + 1 == images.n) return {};
  const T* from =
      last ? images.at(image + 1, 0) : images.at(image, std::min(strip.end, images.height - rows));
  return Lines<false>(from, images.channels, rows * images.width, images.plane());
}

/// to[j] = from[2 j], while vectors of a row of n elements last. Returns the first j that is left.
template <class T>
std::int64_t take_every_second(const T* from, std::int64_t n, T* to) {
  std::int64_t j = 0;
  for (; 2 * (j + kLanes<T>) <= n; j += kLanes<T>)
    store<T>(to + j, even_lanes<T>(load(from + 2 * j), load(from + 2 * j + kLanes<T>)));
  if (n < 2 * j + kLanes<T>) return j;
  const Vec<T> half = even_lanes<T>(load(from + 2 * j), Vec<T>{});
  std::memcpy(to + j, &half, sizeof half / 2);
  return j + kLanes<T> / 2;
}

/// The reverse: to[2 j] = from[j] and to[2 j + 1] = 0. Reads whole vectors, maybe beyond the row.
template <class T>
std::int64_t put_every_second(const T* from, std::int64_t n, T* to) {
  std::int64_t j = 0;
  for (; 2 * (j + kLanes<T>) <= n; j += kLanes<T>) {
    const Vec<T> pixels = load(from + j);
    store<T>(to + 2 * j, zip_low<T>(pixels, Vec<T>{}));
    store<T>(to + 2 * j + kLanes<T>, zip_high<T>(pixels, Vec<T>{}));
  }
  if (n < 2 * j + kLanes<T>) return j;
  store<T>(to + 2 * j, zip_low<T>(load(from + j), Vec<T>{}));
  return j + kLanes<T> / 2;
}

/// The input pixels that output pixels see, for strips of output rows.
template <class T>
class Samples {
 public:
  /// `in_vectors`: they are read by load_run() alone.
  Samples(const Conv2dGeometry& g, bool in_vectors)
      : g_(g),
        every_second_(in_vectors && g.options.stride.w == 2 && g.w == 2 * g.ow && g.ow % kLanes<T> == 0) {
    const std::int64_t row_bytes = std::max(g.c, g.o) * g.ow * static_cast<std::int64_t>(sizeof(T));
    rows_ = std::max(strip_rows(row_bytes, g.oh), (kTilePixels<T> + g.ow - 1) / g.ow);
  }

  /// Elements of the buffer, with what `scatter` reads beyond it.
  std::int64_t size() const { return direct() || every_second_ ? 0 : g_.c * stride() + kLanes<T>; }
  std::int64_t rows() const { return rows_; }
  /// With stride 1, planes are read and written where they are.
  bool direct() const { return g_.options.stride == Size2d(1); }
  /// Elements from a channel's pixels to the next one's.
  std::int64_t stride() const { return direct() ? g_.plane() : rows_ * g_.ow; }

  /// Calls f(taps, source) with the pixels of a strip of an image [c, h, w], maybe in the buffer.
  template <class F>
  void read(const T* image, const Strip& strip, T* buffer, const F& f) const {
    if (every_second_) {
      const std::int64_t row_stride = g_.options.stride.h * g_.w;
      f(Taps<1, EverySecondPixel>{g_.c, g_.plane(), {0}, {g_.ow, row_stride}},
        image + strip.begin * row_stride);
    } else {
      f(Taps<1>{g_.c, stride(), {0}}, gather(image, strip, buffer));
    }
  }
  /// The same pixels, one after another.
  const T* gather(const T* image, const Strip& strip, T* buffer) const {
    if (direct()) return image + strip.begin * g_.w;
    for_each_row(strip, [&](std::int64_t at, std::int64_t row) {
      const T* from = image + at;
      T* to = buffer + row;
      std::int64_t j = g_.options.stride.w == 2 ? take_every_second(from, g_.w, to) : 0;
      for (; j < g_.ow; ++j) to[j] = from[j * g_.options.stride.w];
    });
    return buffer;
  }

  /// The reverse of `gather`: other pixels of the image become zero.
  void scatter(const T* buffer, const Strip& strip, T* image) const {
    for_each_row(strip, [&](std::int64_t at, std::int64_t row) {
      T* to = image + at;
      const std::int64_t below = std::min(g_.options.stride.h, g_.h - at / g_.w % g_.h);
      std::int64_t j = g_.options.stride.w == 2 ? put_every_second(buffer + row, g_.w, to) : 0;
      std::fill(to + 2 * j, to + below * g_.w, T{0});
      for (; j < g_.ow; ++j) to[j * g_.options.stride.w] = buffer[row + j];
    });
  }

  /// What `gather` will see for the strip that follows, if it lies at even distances.
  Lines<false> later(const Images<const T>& x, std::int64_t image, const Strip& strip) const {
    if (direct()) return after(x, image, strip, rows_);
    const std::int64_t step = g_.options.stride.h;
    if (strip.rows() < g_.oh || step * g_.oh != g_.h || image + 1 == x.n) return {};
    return Lines<false>(x.at(image + 1, 0), g_.c * g_.oh, g_.w, step * g_.w);
  }

 private:
  /// Calls f(element of the image, element of the buffer) for each row of each channel.
  template <class F>
  void for_each_row(const Strip& strip, const F& f) const {
    for (std::int64_t c = 0; c < g_.c; ++c)
      for (std::int64_t i = strip.begin; i < strip.end; ++i)
        f((c * g_.h + i * g_.options.stride.h) * g_.w, c * stride() + (i - strip.begin) * g_.ow);
  }

  const Conv2dGeometry& g_;
  bool every_second_;
  std::int64_t rows_;
};

/// Calls f(strip, rows of it that were in the strip before) for strips of `rows` rows each. The last one
/// begins earlier where too few rows are left.
template <class F>
void for_each_full_strip(std::int64_t height, std::int64_t rows, const F& f) {
  for_each_strip(height, rows, [&](const Strip& strip) {
    f(Strip{strip.end - rows, strip.end}, rows - strip.rows());
  });
}

/// Pixels of which transposed channels stay in a core's first-level cache.
constexpr std::int64_t kChunk = 256;

/// Bytes of a slot's sums from which on it takes too long to add those of all slots, and how many there are
/// then.
constexpr std::int64_t kManySums = std::int64_t{32} << 10;
constexpr std::int64_t kSlotsOfManySums = 8;

/// Channels of an image or of its gradients; their pixels are `stride` elements apart.
template <class T, class Pixels = EachPixel>
struct Planes {
  const T* data;
  std::int64_t channels, stride;
  Pixels pixels{};
};

/// Adds the products of kVectors blocks of lanes [pixel][lane] with kChannels planes to sums[channel][lane],
/// which are `sums_stride` elements apart for each block.
template <int kVectors, int kChannels, class T>
void accumulate_planes(const T* lanes, const T* planes, std::int64_t stride, std::int64_t pixels, T* sums,
                       std::int64_t sums_stride, Lines<false>& later_reads) {
  Vec<T> acc[kChannels][kVectors] = {};
  Lines<false> later = later_reads;
  for (std::int64_t p = 0; p < pixels; ++p) {
    if (p % 2 == 0) later.step();  // often enough for all lines of a strip
    Vec<T> left[kVectors];
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) left[v] = load(lanes + (v * pixels + p) * kLanes<T>);
#pragma GCC unroll 8
    for (int k = 0; k < kChannels; ++k) {
      const Vec<T> value = splat(planes[k * stride + p]);
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) acc[k][v] += left[v] * value;
    }
  }
#pragma GCC unroll 8
  for (int k = 0; k < kChannels; ++k)
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) {
      T* sum = sums + v * sums_stride + k * kLanes<T>;
      store<T>(sum, load(sum) + acc[k][v]);
    }
  later_reads = later;
}

/// What comes after a strip.
struct LaterStrip {
  Lines<false> x, dy;
  Lines<false>& next() { return x.done() ? dy : x; }
};

/// Adds the products of all channels of a and b in pixels [begin, begin + pixels) to sums[block of a][channel
/// of b][lane].
template <int kVectors, class T, class Pixels>
void accumulate_products(const Planes<T, Pixels>& a, const Planes<T>& b, std::int64_t begin,
                         std::int64_t pixels, T* lanes, T* sums, LaterStrip& later) {
  constexpr int kChannels = kVectorBytes == 64 ? 8 : 4;
  const std::int64_t block_sums = b.channels * kLanes<T>;
  const T* others = b.data + begin;
  for (std::int64_t first = 0; first < a.channels;
       first += kVectors * kLanes<T>, sums += kVectors * block_sums) {
    for (std::int64_t v = 0; v < kVectors; ++v) {
      const std::int64_t channel = first + v * kLanes<T>;
      T* to = lanes + v * pixels * kLanes<T>;
      for_each_pixel(a.data + channel * a.stride, a.stride,
                     std::min<std::int64_t>(kLanes<T>, a.channels - channel), a.pixels, begin, pixels,
                     [&](const Vec<T>& pixel) {
                       store<T>(to, pixel);
                       to += kLanes<T>;
                     });
    }
    std::int64_t k = 0;
    for (; k + kChannels <= b.channels; k += kChannels)
      accumulate_planes<kVectors, kChannels>(lanes, others + k * b.stride, b.stride, pixels,
                                             sums + k * kLanes<T>, block_sums, later.next());
    for (; k < b.channels; ++k)
      accumulate_planes<kVectors, 1>(lanes, others + k * b.stride, b.stride, pixels, sums + k * kLanes<T>,
                                     block_sums, later.next());
  }
}

}  // namespace

bool pointwise_fits(const Conv2dGeometry& g) {
  // A tile of which much is computed twice, or a vector with few channels in it, costs more than it gains. So
  // does a matrix that does not stay in a core's cache beside the pixels.
  const std::int64_t tiles = (g.out_plane() + kTilePixels<float> - 1) / kTilePixels<float>;
  const bool full = g.out_plane() * 4 >= tiles * kTilePixels<float> * 3 && std::min(g.c, g.o) >= 8;
  const bool small = g.o * g.c * static_cast<std::int64_t>(sizeof(float)) <= kStripBytes;
  return g.kh == 1 && g.kw == 1 && g.options.padding == Size2d(0) && g.options.groups == 1 &&
         g.out_plane() >= kTilePixels<float> && full && small;
}

template <class T>
void pointwise_forward(const Conv2dGeometry& g, const Tensor& x, const Tensor& weight, const Tensor& bias,
                       const kernel::Residual& residual, Tensor& y) {
  const Samples<T> samples(g, true);
  const T* w = weight.data<T>();
  const PackedFilters<T> filters(
      g.o, g.c, 1, [&](std::int64_t o, std::int64_t c, std::int64_t) { return w[o * g.c + c]; });
  const T* b = retrace::detail::data_or_null<T>(bias);
  const Images<const T> from{x.data<T>(), g.n, g.c, g.h, g.w};
  const BatchOutputs<T> outputs(x, y, residual);
  BatchTasks<T> tasks(g.n, samples.size(), g.products());
  tasks.run([&](T* buffer, std::int64_t begin, std::int64_t end) {
    for (std::int64_t n = begin; n < end; ++n)
      for_each_full_strip(g.oh, samples.rows(), [&](const Strip& strip, std::int64_t written_rows) {
        samples.read(from.at(n, 0), strip, buffer, [&](const auto& taps, const T* source) {
          convolve_tiles(taps, source, filters.data(), b, g.o, outputs.at(n, strip, written_rows),
                         samples.later(from, n, strip));
        });
      });
    end_stream();
  });
}

template <class T>
void pointwise_backward_data(const Conv2dGeometry& g, const Tensor& dy, const Tensor& weight,
                             const kernel::Residual& residual, Tensor& dx) {
  const Samples<T> samples(g, false);
  const T* w = weight.data<T>();
  const PackedFilters<T> filters(
      g.c, g.o, 1, [&](std::int64_t c, std::int64_t o, std::int64_t) { return w[o * g.c + c]; });
  const Images<const T> from{dy.data<T>(), g.n, g.o, g.oh, g.ow};
  const Images<T> to{dx.mutable_data<T>(), g.n, g.c, g.h, g.w};
  const BatchOutputs<T> outputs(dy, dx, residual);
  BatchTasks<T> tasks(g.n, samples.size(), g.products());
  tasks.run([&](T* buffer, std::int64_t begin, std::int64_t end) {
    for (std::int64_t n = begin; n < end; ++n)
      for_each_full_strip(g.oh, samples.rows(), [&](const Strip& strip, std::int64_t written_rows) {
        const Outputs<T> out = samples.direct() ? outputs.at(n, strip, written_rows)
                                                : Outputs<T>{buffer, strip.rows() * g.ow, samples.stride()};
        convolve_tiles<1, EachPixel, T>({g.o, g.out_plane(), {0}}, from.at(n, strip.begin), filters.data(),
                                        nullptr, g.c, out, after(from, n, strip, samples.rows()));
        if (!samples.direct()) samples.scatter(buffer, strip, to.at(n, 0));
      });
    end_stream();
  });
}

template <class T>
void pointwise_backward_weight(const Conv2dGeometry& g, const Tensor& dy, const Tensor& x, Tensor& dw) {
  constexpr std::int64_t kWide = kLanes<T>;
  const bool x_lanes = g.c < g.o;
  const Samples<T> samples(g, x_lanes);
  const std::int64_t blocks = task_count(std::min(g.c, g.o), kWide);
  const std::int64_t others = std::max(g.c, g.o);
  const std::int64_t sums_size = blocks * others * kWide;
  const std::int64_t chunk = std::min(kChunk, samples.rows() * g.ow);
  const std::int64_t lanes_size = (blocks % 2 == 0 ? 2 : 1) * chunk * kWide;
  const Images<const T> from_dy{dy.data<T>(), g.n, g.o, g.oh, g.ow};
  const Images<const T> from_x{x.data<T>(), g.n, g.c, g.h, g.w};
  const bool many = sums_size * static_cast<std::int64_t>(sizeof(T)) > kManySums;
  BatchSlots<T> slots(g.n, sums_size + lanes_size + samples.size(), g.products(),
                      many ? kSlotsOfManySums : BatchSlots<T>::kMostSlots);
  slots.run([&](T* sums, std::int64_t begin, std::int64_t end) {
    T* lanes = sums + sums_size;
    std::fill(sums, lanes, T{0});
    for (std::int64_t n = begin; n < end; ++n)
      for_each_strip(g.oh, samples.rows(), [&](const Strip& strip) {
        LaterStrip later{samples.later(from_x, n, strip), after(from_dy, n, strip, samples.rows())};
        const Planes<T> out{from_dy.at(n, strip.begin), g.o, g.out_plane()};
        const auto add = [&](const auto& a, const auto& b) {
          for (std::int64_t p = 0; p < strip.rows() * g.ow; p += chunk) {
            const std::int64_t pixels = std::min(chunk, strip.rows() * g.ow - p);
            if (blocks % 2 == 0)
              accumulate_products<2>(a, b, p, pixels, lanes, sums, later);
            else
              accumulate_products<1>(a, b, p, pixels, lanes, sums, later);
          }
        };
        T* buffer = lanes + lanes_size;
        if (x_lanes)
          samples.read(from_x.at(n, 0), strip, buffer, [&](const auto& taps, const T* source) {
            using Pixels = std::decay_t<decltype(taps.pixels)>;
            add(Planes<T, Pixels>{source, taps.channels, taps.channel_stride, taps.pixels}, out);
          });
        else
          add(out, Planes<T>{samples.gather(from_x.at(n, 0), strip, buffer), g.c, samples.stride()});
      });
  });
  const T* sums = slots.sum(sums_size);
  if (x_lanes)
    write_input_lane_sums(g, sums, dw.mutable_data<T>());
  else
    write_lane_sums(g, sums, dw.mutable_data<T>());
}

template void pointwise_forward<float>(const Conv2dGeometry&, const Tensor&, const Tensor&, const Tensor&,
                                       const kernel::Residual&, Tensor&);
template void pointwise_forward<double>(const Conv2dGeometry&, const Tensor&, const Tensor&, const Tensor&,
                                        const kernel::Residual&, Tensor&);
template void pointwise_backward_data<float>(const Conv2dGeometry&, const Tensor&, const Tensor&,
                                             const kernel::Residual&, Tensor&);
template void pointwise_backward_data<double>(const Conv2dGeometry&, const Tensor&, const Tensor&,
                                              const kernel::Residual&, Tensor&);
template void pointwise_backward_weight<float>(const Conv2dGeometry&, const Tensor&, const Tensor&, Tensor&);
template void pointwise_backward_weight<double>(const Conv2dGeometry&, const Tensor&, const Tensor&, Tensor&);

}  // namespace retrace::cpu
