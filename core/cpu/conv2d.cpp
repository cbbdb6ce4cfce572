#include <retrace/core/cpu/conv2d.h>
#include <retrace/core/cpu/reduced_float.h>
#include <retrace/core/kernels.h>

namespace retrace {

namespace {

using cpu::Conv2dGeometry;

using kernel::Residual;

enum class Algorithm { winograd, winograd_strided, direct3x3, strided3x3, pointwise, im2col };

/// The fastest algorithm for these shapes.
Algorithm algorithm_of(const Conv2dGeometry& g, DType dtype) {
  // f64 is for golden values and finite differences, where rounding counts more than time.
  const bool may_round_more = dtype == DType::f32;
  if (may_round_more && cpu::winograd_fits(g)) return Algorithm::winograd;
  if (may_round_more && cpu::winograd_strided_fits(g)) return Algorithm::winograd_strided;
  if (cpu::direct3x3_fits(g)) return Algorithm::direct3x3;
  if (cpu::strided3x3_fits(g)) return Algorithm::strided3x3;
  return cpu::pointwise_fits(g) ? Algorithm::pointwise : Algorithm::im2col;
}

/// Whether `forward` adds a residual while it writes its result.
bool adds_residual(const Conv2dGeometry& g, DType dtype) {
  if (is_reduced_float(dtype)) return false;
  const Algorithm algorithm = algorithm_of(g, dtype);
  return algorithm == Algorithm::winograd || algorithm == Algorithm::direct3x3 ||
         algorithm == Algorithm::pointwise;
}

/// Whether `backward_data` does.
bool adds_residual_back(const Conv2dGeometry& g, DType dtype) {
  return adds_residual(g, dtype) && g.options.stride == Size2d(1);
}

/// The residual is undefined unless `adds_residual`.
template <class T>
void forward(const Tensor& x, const Tensor& w, const Tensor& bias, const Conv2dOptions& options,
             const Residual& residual, Tensor& y) {
  const Conv2dGeometry g(x.shape(), w.shape(), y.shape(), options);
  switch (algorithm_of(g, x.dtype())) {
    case Algorithm::winograd:
      return cpu::winograd_forward(x, w, bias, residual, y);
    case Algorithm::winograd_strided:
      return cpu::winograd_strided_forward(x, w, bias, y);
    case Algorithm::direct3x3:
      return cpu::direct3x3_forward<T>(g, x, w, bias, residual, y);
    case Algorithm::strided3x3:
      return cpu::strided3x3_forward<T>(g, x, w, bias, y);
    case Algorithm::pointwise:
      return cpu::pointwise_forward<T>(g, x, w, bias, residual, y);
    case Algorithm::im2col:
      return cpu::im2col_forward<T>(g, x, w, bias, y);
  }
}

/// The residual is undefined unless `adds_residual_back`.
template <class T>
void backward_data(const Tensor& dy, const Tensor& w, const Conv2dOptions& options, const Residual& residual,
                   Tensor& dx) {
  const Conv2dGeometry g(dx.shape(), w.shape(), dy.shape(), options);
  switch (algorithm_of(g, dy.dtype())) {
    case Algorithm::winograd:
      return cpu::winograd_backward_data(dy, w, residual, dx);
    case Algorithm::winograd_strided:
      return cpu::winograd_strided_backward_data(dy, w, dx);
    case Algorithm::direct3x3:
      return cpu::direct3x3_backward_data<T>(g, dy, w, residual, dx);
    case Algorithm::strided3x3:
      return cpu::strided3x3_backward_data<T>(g, dy, w, dx);
    case Algorithm::pointwise:
      return cpu::pointwise_backward_data<T>(g, dy, w, residual, dx);
    case Algorithm::im2col:
      return cpu::im2col_backward_data<T>(g, dy, w, dx);
  }
}

template <class T>
void backward_weight(const Tensor& dy, const Tensor& x, const Conv2dOptions& options, Tensor& dw) {
  const Conv2dGeometry g(x.shape(), dw.shape(), dy.shape(), options);
  switch (algorithm_of(g, dy.dtype())) {
    case Algorithm::winograd:
      return cpu::winograd_backward_weight(g, dy, x, dw);
    case Algorithm::winograd_strided:
      return cpu::winograd_strided_backward_weight(g, dy, x, dw);
    case Algorithm::direct3x3:
      return cpu::direct3x3_backward_weight<T>(g, dy, x, dw);
    case Algorithm::strided3x3:
      return cpu::strided3x3_backward_weight<T>(g, dy, x, dw);
    case Algorithm::pointwise:
      return cpu::pointwise_backward_weight<T>(g, dy, x, dw);
    case Algorithm::im2col:
      return cpu::im2col_backward_weight<T>(g, dy, x, dw);
  }
}

// bf16 and f16: a few images at a time are widened, so that scratch space does not grow with the batch.

constexpr std::int64_t kWideBytes = std::int64_t{4} << 20;
constexpr std::int64_t kFewestImages = 8;  // for the threads

/// Calls body(first image, end) for images of x and y of which f32 copies take about kWideBytes.
template <class Body>
void for_each_group(const Shape& x, const Shape& y, const Body& body) {
  const std::int64_t bytes = 4 * (x.numel_after(0) + y.numel_after(0));
  const std::int64_t images = std::max(kWideBytes / bytes, kFewestImages);
  for (std::int64_t begin = 0; begin < x[0]; begin += images) body(begin, std::min(x[0], begin + images));
}

void forward_reduced(const Tensor& x, const Tensor& w, const Tensor& bias, const Conv2dOptions& options,
                     Tensor& y) {
  const Tensor wide_w = cpu::widened(w);
  const Tensor wide_bias = cpu::widened(bias);
  for_each_group(x.shape(), y.shape(), [&](std::int64_t begin, std::int64_t end) {
    Tensor wide = cpu::wide_tensor(y.shape().with(0, end - begin));
    forward<float>(cpu::widened(x, begin, end), wide_w, wide_bias, options, {}, wide);
    cpu::round_into(wide, y, begin);
  });
}

void backward_data_reduced(const Tensor& dy, const Tensor& w, const Conv2dOptions& options, Tensor& dx) {
  const Tensor wide_w = cpu::widened(w);
  for_each_group(dx.shape(), dy.shape(), [&](std::int64_t begin, std::int64_t end) {
    Tensor wide = cpu::wide_tensor(dx.shape().with(0, end - begin));
    backward_data<float>(cpu::widened(dy, begin, end), wide_w, options, {}, wide);
    cpu::round_into(wide, dx, begin);
  });
}

void backward_weight_reduced(const Tensor& dy, const Tensor& x, const Conv2dOptions& options, Tensor& dw) {
  Tensor sum;
  for_each_group(x.shape(), dy.shape(), [&](std::int64_t begin, std::int64_t end) {
    Tensor wide = cpu::wide_tensor(dw.shape());
    backward_weight<float>(cpu::widened(dy, begin, end), cpu::widened(x, begin, end), options, wide);
    if (sum.defined())
      kernel::add(sum, wide, sum);
    else
      sum = wide;
  });
  cpu::round_into(sum, dw);
}

/// y = the residual and what `run(result)` makes, in two passes.
template <class Run>
void add_apart(const Residual& residual, Tensor& y, const Run& run) {
  Tensor result = residual.value.shares_storage(y) ? like(y, Tag::workspace) : y;
  run(result);
  const auto& op = residual.sign == Sign::plus ? kernel::add : kernel::sub;
  op(residual.value, result, y);
}

void conv2d_cpu(const Tensor& x, const Tensor& w, const Tensor& bias, const Conv2dOptions& options,
                const Residual& residual, Tensor& y) {
  if (residual.value.defined() &&
      !adds_residual(Conv2dGeometry(x.shape(), w.shape(), y.shape(), options), x.dtype()))
    return add_apart(residual, y, [&](Tensor& result) { conv2d_cpu(x, w, bias, options, {}, result); });
  if (is_reduced_float(x.dtype())) return forward_reduced(x, w, bias, options, y);
  visit_float("conv2d", x.dtype(),
              [&]<class T>(TypeTag<T>) { forward<T>(x, w, bias, options, residual, y); });
}

void conv2d_backward_data_cpu(const Tensor& dy, const Tensor& w, const Conv2dOptions& options,
                              const Residual& residual, Tensor& dx) {
  if (residual.value.defined() &&
      !adds_residual_back(Conv2dGeometry(dx.shape(), w.shape(), dy.shape(), options), dy.dtype()))
    return add_apart(residual, dx,
                     [&](Tensor& result) { conv2d_backward_data_cpu(dy, w, options, {}, result); });
  if (is_reduced_float(dy.dtype())) return backward_data_reduced(dy, w, options, dx);
  visit_float("conv2d", dy.dtype(),
              [&]<class T>(TypeTag<T>) { backward_data<T>(dy, w, options, residual, dx); });
}

void conv2d_backward_weight_cpu(const Tensor& dy, const Tensor& x, const Conv2dOptions& options, Tensor& dw) {
  if (is_reduced_float(dy.dtype())) return backward_weight_reduced(dy, x, options, dw);
  visit_float("conv2d", dy.dtype(), [&]<class T>(TypeTag<T>) { backward_weight<T>(dy, x, options, dw); });
}

}  // namespace

constinit decltype(kernel::conv2d) kernel::conv2d{&conv2d_cpu};
constinit decltype(kernel::conv2d_backward_data) kernel::conv2d_backward_data{&conv2d_backward_data_cpu};
constinit decltype(kernel::conv2d_backward_weight) kernel::conv2d_backward_weight{
    &conv2d_backward_weight_cpu};

}  // namespace retrace
