// A convolution as matrix products: column p of `columns` [C/groups h w, P] holds the inputs that output
// pixel p sees.
//   y = w columns,   dcolumns = w^T dy,   dw = dy columns^T
// The columns are made for some rows of one image at a time, few enough to stay in a core's cache.
#include <retrace/core/cpu/conv2d.h>
#include <retrace/core/cpu/matrix.h>
#include <retrace/core/data_or_null.h>

namespace retrace::cpu {

namespace {

constexpr std::int64_t kColumnsBytes = std::int64_t{256} << 10;

constexpr std::int64_t ceil_div(std::int64_t a, std::int64_t b) {
  return a > 0 ? (a + b - 1) / b : -(-a / b);
}

template <class T>
class Columns {
 public:
  explicit Columns(const Conv2dGeometry& g) : g_(g) {
    const std::int64_t row = g.depth() * g.ow * static_cast<std::int64_t>(sizeof(T));
    tile_rows_ = std::clamp<std::int64_t>(kColumnsBytes / row, 1, g.oh);
  }

  /// Elements of the buffer that `gather` and `scatter` need.
  std::int64_t size() const { return direct() ? 0 : g_.depth() * tile_rows_ * g_.ow; }

  /// Calls f(first pixel, pixels) for each tile of whole output rows.
  template <class F>
  void for_each_tile(const F& f) const {
    for (std::int64_t row = 0; row < g_.oh; row += tile_rows_)
      f(row * g_.ow, std::min(tile_rows_, g_.oh - row) * g_.ow);
  }

  /// The columns of some pixels of one group of an image: x itself where the filter is a single point.
  ConstMatrixMap<T> gather(const T* x, std::int64_t pixel, std::int64_t pixels, T* buffer) const {
    if (direct()) return matrix(x + pixel, g_.depth(), pixels, g_.plane());
    walk(
        pixel, pixels,
        [&](T* row, const Run& run) {
          std::fill(row, row + run.begin, T{0});
          const T* from = x + run.input;
          const std::int64_t stride = g_.options.stride.w;
          if (stride == 1)
            std::copy(from, from + (run.end - run.begin), row + run.begin);
          else
            for (std::int64_t j = run.begin; j < run.end; ++j) row[j] = from[(j - run.begin) * stride];
          std::fill(row + run.end, row + g_.ow, T{0});
        },
        buffer);
    return matrix(static_cast<const T*>(buffer), g_.depth(), pixels, pixels);
  }

  /// dx += the columns' gradients, and the reverse of `gather`.
  template <class Product>
  void scatter(const Product& dcolumns, std::int64_t pixel, std::int64_t pixels, T* buffer, T* dx) const {
    if (direct()) {
      matrix(dx + pixel, g_.depth(), pixels, g_.plane()).noalias() = dcolumns;
      return;
    }
    matrix(buffer, g_.depth(), pixels, pixels).noalias() = dcolumns;
    walk(
        pixel, pixels,
        [&](const T* row, const Run& run) {
          T* to = dx + run.input;
          for (std::int64_t j = run.begin; j < run.end; ++j)
            to[(j - run.begin) * g_.options.stride.w] += row[j];
        },
        buffer);
  }

 private:
  /// Elements [begin, end) of one output row see the inputs from `input` on; the others see zeros.
  struct Run {
    std::int64_t begin, end, input;
  };

  bool direct() const {
    return g_.kh == 1 && g_.kw == 1 && g_.options.stride == Size2d(1) && g_.options.padding == Size2d(0);
  }

  /// Calls f(output row in the columns, run) for each element of the filter and each output row.
  template <class F>
  void walk(std::int64_t pixel, std::int64_t pixels, const F& f, T* buffer) const {
    const auto& [stride, padding, dilation, groups, algorithm] = g_.options;
    for (std::int64_t c = 0; c < g_.group_c(); ++c)
      for (std::int64_t u = 0; u < g_.kh; ++u)
        for (std::int64_t v = 0; v < g_.kw; ++v) {
          const std::int64_t left = v * dilation.w - padding.w;  // the input column of output column 0
          const std::int64_t begin = std::clamp<std::int64_t>(ceil_div(-left, stride.w), 0, g_.ow);
          const std::int64_t end = std::clamp<std::int64_t>(ceil_div(g_.w - left, stride.w), begin, g_.ow);
          for (std::int64_t i = pixel / g_.ow; i < (pixel + pixels) / g_.ow; ++i, buffer += g_.ow) {
            const std::int64_t row = i * stride.h + u * dilation.h - padding.h;
            const bool inside = row >= 0 && row < g_.h && begin < end;
            f(buffer,
              inside ? Run{begin, end, (c * g_.h + row) * g_.w + left + begin * stride.w} : Run{0, 0, 0});
          }
        }
  }

  const Conv2dGeometry& g_;
  std::int64_t tile_rows_;
};

}  // namespace

template <class T>
void im2col_forward(const Conv2dGeometry& g, const Tensor& x, const Tensor& weight, const Tensor& bias,
                    Tensor& y) {
  const Columns<T> columns(g);
  const T* from = x.data<T>();
  const T* w = weight.data<T>();
  const T* b = retrace::detail::data_or_null<T>(bias);
  T* to = y.mutable_data<T>();
  BatchTasks<T> tasks(g.n, columns.size(), g.products());
  tasks.run([&](T* buffer, std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin * g.options.groups; i < end * g.options.groups; ++i) {
      const std::int64_t first = i % g.options.groups * g.group_o();
      const auto filters = matrix(w + first * g.depth(), g.group_o(), g.depth(), g.depth());
      columns.for_each_tile([&](std::int64_t pixel, std::int64_t pixels) {
        auto out = matrix(to + i * g.group_o() * g.out_plane() + pixel, g.group_o(), pixels, g.out_plane());
        out.noalias() = filters * columns.gather(from + i * g.group_c() * g.plane(), pixel, pixels, buffer);
        if (b != nullptr)
          out.colwise() += Eigen::Map<const Eigen::Matrix<T, Eigen::Dynamic, 1>>(b + first, g.group_o());
      });
    }
  });
}

template <class T>
void im2col_backward_data(const Conv2dGeometry& g, const Tensor& dy, const Tensor& weight, Tensor& dx) {
  const Columns<T> columns(g);
  const T* from = dy.data<T>();
  const T* w = weight.data<T>();
  T* to = dx.mutable_data<T>();
  BatchTasks<T> tasks(g.n, columns.size(), g.products());
  tasks.run([&](T* buffer, std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin * g.options.groups; i < end * g.options.groups; ++i) {
      const std::int64_t first = i % g.options.groups * g.group_o();
      const auto filters = matrix(w + first * g.depth(), g.group_o(), g.depth(), g.depth());
      T* image = to + i * g.group_c() * g.plane();
      std::fill(image, image + g.group_c() * g.plane(), T{0});
      columns.for_each_tile([&](std::int64_t pixel, std::int64_t pixels) {
        const auto d =
            matrix(from + i * g.group_o() * g.out_plane() + pixel, g.group_o(), pixels, g.out_plane());
        columns.scatter(filters.transpose() * d, pixel, pixels, buffer, image);
      });
    }
  });
}

template <class T>
void im2col_backward_weight(const Conv2dGeometry& g, const Tensor& dy, const Tensor& x, Tensor& dw) {
  const Columns<T> columns(g);
  const T* from_dy = dy.data<T>();
  const T* from_x = x.data<T>();
  const std::int64_t size = g.o * g.depth();
  BatchSlots<T> slots(g.n, size + columns.size(), g.products());
  slots.run([&](T* sums, std::int64_t begin, std::int64_t end) {
    std::fill(sums, sums + size, T{0});
    for (std::int64_t i = begin * g.options.groups; i < end * g.options.groups; ++i) {
      const std::int64_t first = i % g.options.groups * g.group_o();
      auto out = matrix(sums + first * g.depth(), g.group_o(), g.depth(), g.depth());
      columns.for_each_tile([&](std::int64_t pixel, std::int64_t pixels) {
        const auto d =
            matrix(from_dy + i * g.group_o() * g.out_plane() + pixel, g.group_o(), pixels, g.out_plane());
        out.noalias() +=
            d * columns.gather(from_x + i * g.group_c() * g.plane(), pixel, pixels, sums + size).transpose();
      });
    }
  });
  std::copy_n(slots.sum(size), size, dw.mutable_data<T>());
}

template void im2col_forward<float>(const Conv2dGeometry&, const Tensor&, const Tensor&, const Tensor&,
                                    Tensor&);
template void im2col_forward<double>(const Conv2dGeometry&, const Tensor&, const Tensor&, const Tensor&,
                                     Tensor&);
template void im2col_backward_data<float>(const Conv2dGeometry&, const Tensor&, const Tensor&, Tensor&);
template void im2col_backward_data<double>(const Conv2dGeometry&, const Tensor&, const Tensor&, Tensor&);
template void im2col_backward_weight<float>(const Conv2dGeometry&, const Tensor&, const Tensor&, Tensor&);
template void im2col_backward_weight<double>(const Conv2dGeometry&, const Tensor&, const Tensor&, Tensor&);

}  // namespace retrace::cpu
