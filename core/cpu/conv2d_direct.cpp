// Convolutions with 3 x 3 filters, stride 1 and padding 1, without im2col.
//
// Forward: the lanes of a vector are pixels. An image (a strip of its rows, if it is large) is copied three
// times, shifted by a column each, with zeros around it. Then the inputs of filter element (u, v) for a run
// of output pixels, counted through rows, are a run at a constant offset, whatever the width of the image:
//   y[o][p] = sum over c, t of w[o][c][t] source[c][offset[t] + p]
// Backward data is the same with the filters turned by 180 degrees and their channels exchanged.
//
// Backward weight: the lanes are output channels, dy is transposed to [pixel][lane] with zeros around it, and
//   dw[lanes][c][u][v] = sum over pixels (i, j) of x[c][i][j] dy[i + 1 - u][j + 1 - v][lanes]
// keeps its nine sums in registers for a whole strip.
#include <retrace/core/cpu/conv2d_lanes.h>
#include <retrace/core/data_or_null.h>

namespace retrace::cpu {

namespace {

constexpr int kTaps = 9;
/// The three shifted copies of the channels of a strip.
template <class T>
class ShiftedCopies {
 public:
  ShiftedCopies(std::int64_t channels, std::int64_t height, std::int64_t width, std::int64_t rows)
      : height_(height), width_(width), copy_((rows + 2) * width), taps_{channels, 3 * copy_, {}} {
    for (std::int64_t t = 0; t < kTaps; ++t)
      taps_.offsets[static_cast<std::size_t>(t)] = t % 3 * copy_ + t / 3 * width;
  }

  /// Elements of the buffer. The last tile reads beyond the last copy, and ignores what it gets.
  std::int64_t size() const { return taps_.channels * taps_.channel_stride + kTilePixels<T>; }
  const Taps<kTaps>& taps() const { return taps_; }

  /// Fills the buffer from an image [channels, height, width].
  void fill(const T* image, const Strip& strip, T* buffer) const {
    const Strip seen{std::max<std::int64_t>(strip.begin - 1, 0), std::min(strip.end + 1, height_)};
    const std::int64_t above = (seen.begin - (strip.begin - 1)) * width_;
    const std::int64_t pixels = seen.rows() * width_;
    for (std::int64_t c = 0; c < taps_.channels; ++c, buffer += taps_.channel_stride) {
      const T* from = image + (c * height_ + seen.begin) * width_;
      T* copies[3] = {buffer, buffer + copy_, buffer + 2 * copy_};
      for (T* to : copies) {
        std::fill(to, to + above, T{0});
        std::fill(to + above + pixels, to + (strip.rows() + 2) * width_, T{0});
      }
      std::copy(from, from + pixels - 1, copies[0] + above + 1);
      std::copy(from, from + pixels, copies[1] + above);
      std::copy(from + 1, from + pixels, copies[2] + above);
      for (std::int64_t p = above; p < above + pixels; p += width_)
        copies[0][p] = copies[2][p + width_ - 1] = 0;
    }
  }

 private:
  std::int64_t height_, width_, copy_;
  Taps<kTaps> taps_;
};

/// y = x * w + bias, where filter(o, c, t) is the element t of the filter from channel c to channel o.
template <class T, class Filter>
void convolve(const Tensor& x, std::int64_t out_channels, const Filter& filter, const T* bias,
              const kernel::Residual& residual, Tensor& y) {
  const std::int64_t channels = x.shape()[1];
  const std::int64_t height = x.shape()[2];
  const std::int64_t width = x.shape()[3];
  const std::int64_t plane = height * width;
  const std::int64_t rows = strip_rows(3 * channels * width * static_cast<std::int64_t>(sizeof(T)), height);
  const ShiftedCopies<T> copies(channels, height, width, rows);
  const PackedFilters<T> filters(out_channels, channels, kTaps, filter);
  const T* from = x.data<T>();
  const BatchOutputs<T> outputs(x, y, residual);
  BatchTasks<T> tasks(x.shape()[0], copies.size(), out_channels * channels * kTaps * plane);
  tasks.run([&](T* buffer, std::int64_t begin, std::int64_t end) {
    for (std::int64_t n = begin; n < end; ++n)
      for_each_strip(height, rows, [&](const Strip& strip) {
        copies.fill(from + n * channels * plane, strip, buffer);
        convolve_tiles<kTaps>(copies.taps(), buffer, filters.data(), bias, out_channels,
                              outputs.at(n, strip));
      });
    end_stream();
  });
}

/// kLanes channels of a strip of dy with a border of zeros, as [pixel][lane].
template <class T>
class LaneMajor {
 public:
  LaneMajor(std::int64_t height, std::int64_t width, std::int64_t rows)
      : height_(height), width_(width), rows_(rows) {}

  std::int64_t row_stride() const { return (width_ + 2) * kLanes<T>; }
  std::int64_t size() const { return (rows_ + 2) * row_stride(); }

  /// Fills the buffer, whose columns at the border are zero already, from `channels` (at most kLanes) planes.
  void fill(const T* planes, std::int64_t channels, const Strip& strip, T* buffer) const {
    const Strip seen{std::max<std::int64_t>(strip.begin - 1, 0), std::min(strip.end + 1, height_)};
    const std::int64_t above = seen.begin - (strip.begin - 1);
    std::fill(buffer, buffer + above * row_stride(), T{0});
    T* end = buffer + (strip.rows() + 2) * row_stride();
    std::fill(buffer + (above + seen.rows()) * row_stride(), end, T{0});
    const T* from = planes + seen.begin * width_;
    T* to = buffer + above * row_stride() + kLanes<T>;
    std::int64_t column = 0;
    const auto put = [&](const Vec<T>& pixel) {
      store<T>(to, pixel);
      to += kLanes<T>;
      if (++column < width_) return;
      column = 0;
      to += 2 * kLanes<T>;
    };
    for_each_pixel(from, height_ * width_, channels, seen.rows() * width_, put);
  }

 private:
  std::int64_t height_, width_, rows_;
};

/// Adds the products of a strip to sums[kChannels][kTaps][lane]; x's planes are `plane` elements apart.
template <int kChannels, class T>
void accumulate_taps(const T* dy, std::int64_t row_stride, const T* x, std::int64_t plane, std::int64_t rows,
                     std::int64_t width, T* sums) {
  Vec<T> acc[kTaps][kChannels] = {};
  for (std::int64_t i = 0; i < rows; ++i)
    for (std::int64_t j = 0; j < width; ++j) {
      const T* pixel = dy + i * row_stride + j * kLanes<T>;
      Vec<T> value[kChannels];
#pragma GCC unroll 2
      for (int c = 0; c < kChannels; ++c) value[c] = splat(x[c * plane + i * width + j]);
#pragma GCC unroll 9
      for (int t = 0; t < kTaps; ++t) {
        const Vec<T> d = load(pixel + (2 - t / 3) * row_stride + (2 - t % 3) * kLanes<T>);
#pragma GCC unroll 2
        for (int c = 0; c < kChannels; ++c) acc[t][c] += d * value[c];
      }
    }
#pragma GCC unroll 2
  for (int c = 0; c < kChannels; ++c)
#pragma GCC unroll 9
    for (int t = 0; t < kTaps; ++t) {
      T* sum = sums + (c * kTaps + t) * kLanes<T>;
      store<T>(sum, load(sum) + acc[t][c]);
    }
}

}  // namespace

bool direct3x3_fits(const Conv2dGeometry& g) {
  // Planes much smaller than a tile of pixels would waste most of it.
  const bool large = g.plane() * 2 >= kTilePixels<float>;
  return g.is_3x3(1) && large;
}

template <class T>
void direct3x3_forward(const Conv2dGeometry& g, const Tensor& x, const Tensor& weight, const Tensor& bias,
                       const kernel::Residual& residual, Tensor& y) {
  const T* w = weight.data<T>();
  const auto filter = [=](std::int64_t o, std::int64_t c, std::int64_t t) {
    return w[(o * g.c + c) * kTaps + t];
  };
  convolve<T>(x, g.o, filter, retrace::detail::data_or_null<T>(bias), residual, y);
}

template <class T>
void direct3x3_backward_data(const Conv2dGeometry& g, const Tensor& dy, const Tensor& weight,
                             const kernel::Residual& residual, Tensor& dx) {
  const T* w = weight.data<T>();
  const auto turned = [=](std::int64_t c, std::int64_t o, std::int64_t t) {
    return w[(o * g.c + c) * kTaps + kTaps - 1 - t];
  };
  convolve<T>(dy, g.c, turned, nullptr, residual, dx);
}

template <class T>
void direct3x3_backward_weight(const Conv2dGeometry& g, const Tensor& dy, const Tensor& x, Tensor& dw) {
  constexpr int kChannels = kVectorBytes == 64 ? 2 : 1;  // times kTaps sums in registers
  constexpr std::int64_t kWide = kLanes<T>;
  const std::int64_t rows = strip_rows((g.w + 2) * kVectorBytes, g.h);
  const LaneMajor<T> lanes(g.h, g.w, rows);
  const std::int64_t block_sums = g.c * kTaps * kWide;
  const std::int64_t sums_size = task_count(g.o, kWide) * block_sums;
  const T* from_dy = dy.data<T>();
  const T* from_x = x.data<T>();
  BatchSlots<T> slots(g.n, sums_size + lanes.size(), g.products());
  slots.run([&](T* sums, std::int64_t begin, std::int64_t end) {
    T* buffer = sums + sums_size;
    std::fill(sums, buffer + lanes.size(), T{0});
    for (std::int64_t o = 0; o < g.o; o += kWide, sums += block_sums)
      for (std::int64_t n = begin; n < end; ++n)
        for_each_strip(g.h, rows, [&](const Strip& strip) {
          lanes.fill(from_dy + (n * g.o + o) * g.plane(), std::min(kWide, g.o - o), strip, buffer);
          const T* image = from_x + n * g.c * g.plane() + strip.begin * g.w;
          std::int64_t c = 0;
          for (; c + kChannels <= g.c; c += kChannels)
            accumulate_taps<kChannels>(buffer, lanes.row_stride(), image + c * g.plane(), g.plane(),
                                       strip.rows(), g.w, sums + c * kTaps * kWide);
          for (; c < g.c; ++c)
            accumulate_taps<1>(buffer, lanes.row_stride(), image + c * g.plane(), g.plane(), strip.rows(),
                               g.w, sums + c * kTaps * kWide);
        });
  });
  write_lane_sums(g, slots.sum(sums_size), dw.mutable_data<T>());
}

template void direct3x3_forward<float>(const Conv2dGeometry&, const Tensor&, const Tensor&, const Tensor&,
                                       const kernel::Residual&, Tensor&);
template void direct3x3_forward<double>(const Conv2dGeometry&, const Tensor&, const Tensor&, const Tensor&,
                                        const kernel::Residual&, Tensor&);
template void direct3x3_backward_data<float>(const Conv2dGeometry&, const Tensor&, const Tensor&,
                                             const kernel::Residual&, Tensor&);
template void direct3x3_backward_data<double>(const Conv2dGeometry&, const Tensor&, const Tensor&,
                                              const kernel::Residual&, Tensor&);
template void direct3x3_backward_weight<float>(const Conv2dGeometry&, const Tensor&, const Tensor&, Tensor&);
template void direct3x3_backward_weight<double>(const Conv2dGeometry&, const Tensor&, const Tensor&, Tensor&);

}  // namespace retrace::cpu
