// Convolutions with 1 x 1 filters and no padding, of any stride: products of a matrix with planes of pixels.
// They do little work for what they read, so all output channels of some pixels are computed while their
// inputs are in a core's cache. With a stride, the pixels that the filter sees are copied first.
#include <retrace/core/cpu/conv2d_tile.h>

namespace retrace::cpu {

namespace {

/// The input pixels that output pixels see, for strips of output rows.
template <class T>
class Samples {
 public:
  explicit Samples(const Conv2dGeometry& g) : g_(g) {
    const std::int64_t row_bytes = std::max(g.c, g.o) * g.ow * static_cast<std::int64_t>(sizeof(T));
    rows_ = std::max(strip_rows(row_bytes, g.oh), (kTilePixels<T> + g.ow - 1) / g.ow);
  }

  /// Elements of the buffer.
  std::int64_t size() const { return direct() ? 0 : g_.c * stride(); }
  std::int64_t rows() const { return rows_; }
  /// With stride 1, planes are read and written where they are.
  bool direct() const { return g_.options.stride == Size2d(1); }
  /// Elements from a channel's pixels to the next one's.
  std::int64_t stride() const { return direct() ? g_.plane() : rows_ * g_.ow; }

  /// The pixels of a strip of an image [c, h, w], maybe in the buffer.
  const T* gather(const T* image, const Strip& strip, T* buffer) const {
    if (direct()) return image + strip.begin * g_.w;
    for_each_row(strip, [&](std::int64_t at, std::int64_t row) {
      const T* from = image + at;
      T* to = buffer + row;
      for (std::int64_t j = 0; j < g_.ow; ++j) to[j] = from[j * g_.options.stride.w];
    });
    return buffer;
  }

  /// The reverse of `gather`: other pixels of the image become zero.
  void scatter(const T* buffer, const Strip& strip, T* image) const {
    for_each_row(strip, [&](std::int64_t at, std::int64_t row) {
      T* to = image + at;
      const std::int64_t below = g_.h - at / g_.w % g_.h;
      std::fill(to, to + std::min(g_.options.stride.h, below) * g_.w, T{0});
      for (std::int64_t j = 0; j < g_.ow; ++j) to[j * g_.options.stride.w] = buffer[row + j];
    });
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
  std::int64_t rows_;
};

/// Calls f(strip) for strips of `rows` rows each. The last one begins earlier where too few rows are left.
template <class F>
void for_each_full_strip(std::int64_t height, std::int64_t rows, const F& f) {
  for_each_strip(height, rows, [&](const Strip& strip) { f(Strip{strip.end - rows, strip.end}); });
}

}  // namespace

bool pointwise_fits(const Conv2dGeometry& g) {
  // A tile that is computed twice, or in which little is computed, costs more than it gains. So does a matrix
  // that does not stay in a core's cache beside the pixels.
  const std::int64_t tiles = (g.out_plane() + kTilePixels<float> - 1) / kTilePixels<float>;
  const bool full = g.out_plane() * 4 >= tiles * kTilePixels<float> * 3;
  const bool small = g.o * g.c * static_cast<std::int64_t>(sizeof(float)) <= kStripBytes;
  return g.kh == 1 && g.kw == 1 && g.options.padding == Size2d(0) && g.options.groups == 1 &&
         g.out_plane() >= kTilePixels<float> && full && small;
}

template <class T>
void pointwise_forward(const Conv2dGeometry& g, const Tensor& x, const Tensor& weight, const Tensor& bias,
                       Tensor& y) {
  const Samples<T> samples(g);
  Tensor packed({g.o * g.c}, dtype_of<T>(), Tag::workspace);
  T* weights = packed.mutable_data<T>();
  const T* w = weight.data<T>();
  pack_filters(
      g.o, g.c, 1, [&](std::int64_t o, std::int64_t c, std::int64_t) { return w[o * g.c + c]; }, weights);
  const T* b = bias.defined() ? bias.data<T>() : nullptr;
  const T* from = x.data<T>();
  T* to = y.mutable_data<T>();
  BatchSlots<T> slots(g.n, samples.size(), g.products());
  slots.run([&](T* buffer, std::int64_t begin, std::int64_t end) {
    for (std::int64_t n = begin; n < end; ++n)
      for_each_full_strip(g.oh, samples.rows(), [&](const Strip& strip) {
        const T* source = samples.gather(from + n * g.c * g.plane(), strip, buffer);
        convolve_tiles<1>({g.c, samples.stride(), {0}}, source, weights, b, g.o, strip.rows() * g.ow,
                          g.out_plane(), to + n * g.o * g.out_plane() + strip.begin * g.ow);
      });
  });
}

template <class T>
void pointwise_backward_data(const Conv2dGeometry& g, const Tensor& dy, const Tensor& weight, Tensor& dx) {
  const Samples<T> samples(g);
  Tensor packed({g.c * g.o}, dtype_of<T>(), Tag::workspace);
  T* weights = packed.mutable_data<T>();
  const T* w = weight.data<T>();
  pack_filters(
      g.c, g.o, 1, [&](std::int64_t c, std::int64_t o, std::int64_t) { return w[o * g.c + c]; }, weights);
  const T* from = dy.data<T>();
  T* to = dx.mutable_data<T>();
  BatchSlots<T> slots(g.n, samples.size(), g.products());
  slots.run([&](T* buffer, std::int64_t begin, std::int64_t end) {
    for (std::int64_t n = begin; n < end; ++n)
      for_each_full_strip(g.oh, samples.rows(), [&](const Strip& strip) {
        T* image = to + n * g.c * g.plane();
        T* out = samples.direct() ? image + strip.begin * g.w : buffer;
        convolve_tiles<1, T>({g.o, g.out_plane(), {0}}, from + n * g.o * g.out_plane() + strip.begin * g.ow,
                             weights, nullptr, g.c, strip.rows() * g.ow, samples.stride(), out);
        if (!samples.direct()) samples.scatter(buffer, strip, image);
      });
  });
}

template void pointwise_forward<float>(const Conv2dGeometry&, const Tensor&, const Tensor&, const Tensor&,
                                       Tensor&);
template void pointwise_forward<double>(const Conv2dGeometry&, const Tensor&, const Tensor&, const Tensor&,
                                        Tensor&);
template void pointwise_backward_data<float>(const Conv2dGeometry&, const Tensor&, const Tensor&, Tensor&);
template void pointwise_backward_data<double>(const Conv2dGeometry&, const Tensor&, const Tensor&, Tensor&);

}  // namespace retrace::cpu
