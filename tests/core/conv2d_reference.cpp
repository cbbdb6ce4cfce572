#include "conv2d_reference.h"

namespace retrace::test {

namespace {

/// Calls f(index into y, index into x, index into w) for each product of a convolution.
template <class F>
void for_each_product(const Conv2dCase& c, const Shape& y, const F& f) {
  const Size2d stride = c.options.stride;
  const Size2d padding = c.options.padding;
  const Size2d dilation = c.options.dilation;
  const std::int64_t channels = c.x[1], height = c.x[2], width = c.x[3];
  const std::int64_t group = c.w[0] / c.options.groups, in_group = c.w[1], kernel_h = c.w[2],
                     kernel_w = c.w[3];
  std::size_t out = 0;
  for (std::int64_t n = 0; n < y[0]; ++n)
    for (std::int64_t o = 0; o < y[1]; ++o)
      for (std::int64_t i = 0; i < y[2]; ++i)
        for (std::int64_t j = 0; j < y[3]; ++j, ++out) {
          std::int64_t weight = o * in_group * kernel_h * kernel_w;
          for (std::int64_t k = 0; k < in_group; ++k)
            for (std::int64_t u = 0; u < kernel_h; ++u)
              for (std::int64_t v = 0; v < kernel_w; ++v, ++weight) {
                const std::int64_t row = i * stride.h - padding.h + u * dilation.h;
                const std::int64_t column = j * stride.w - padding.w + v * dilation.w;
                if (row < 0 || row >= height || column < 0 || column >= width) continue;
                const std::int64_t plane = n * channels + o / group * in_group + k;
                f(out, static_cast<std::size_t>((plane * height + row) * width + column),
                  static_cast<std::size_t>(weight));
              }
        }
}

}  // namespace

Conv2dSums::Conv2dSums(const Conv2dCase& c, const Tensor& x, const Tensor& w, const Tensor& bias,
                       const Tensor& dy)
    : y(static_cast<std::size_t>(dy.numel())),
      dx(static_cast<std::size_t>(x.numel())),
      dw(static_cast<std::size_t>(w.numel())) {
  const std::vector<double> xs = x.to_vector<double>();
  const std::vector<double> ws = w.to_vector<double>();
  const std::vector<double> dys = dy.to_vector<double>();
  for_each_product(c, dy.shape(), [&](std::size_t out, std::size_t in, std::size_t weight) {
    y[out] += Rounded{xs[in]} * Rounded{ws[weight]};
    dx[in] += Rounded{dys[out]} * Rounded{ws[weight]};
    dw[weight] += Rounded{dys[out]} * Rounded{xs[in]};
  });
  with_bias = y;
  const std::vector<double> b = bias.to_vector<double>();
  const auto plane = static_cast<std::size_t>(dy.shape().numel_after(1));
  for (std::size_t i = 0; i < y.size(); ++i) with_bias[i] += Rounded{b[i / plane % b.size()]};
}

}  // namespace retrace::test
