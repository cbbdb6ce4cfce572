#include <retrace/core/cpu/conv2d.h>
#include <retrace/core/kernels.h>

namespace retrace {

namespace {

using cpu::Conv2dGeometry;

void conv2d_cpu(const Tensor& x, const Tensor& w, const Tensor& bias, const Conv2dOptions& options,
                Tensor& y) {
  const Conv2dGeometry g(x.shape(), w.shape(), y.shape(), options);
  visit_float("conv2d", x.dtype(), [&]<class T>(TypeTag<T>) {
    if (cpu::direct3x3_fits(g))
      cpu::direct3x3_forward<T>(g, x, w, bias, y);
    else
      cpu::im2col_forward<T>(g, x, w, bias, y);
  });
}

void conv2d_backward_data_cpu(const Tensor& dy, const Tensor& w, const Conv2dOptions& options, Tensor& dx) {
  const Conv2dGeometry g(dx.shape(), w.shape(), dy.shape(), options);
  visit_float("conv2d", dy.dtype(), [&]<class T>(TypeTag<T>) {
    if (cpu::direct3x3_fits(g))
      cpu::direct3x3_backward_data<T>(g, dy, w, dx);
    else
      cpu::im2col_backward_data<T>(g, dy, w, dx);
  });
}

void conv2d_backward_weight_cpu(const Tensor& dy, const Tensor& x, const Conv2dOptions& options, Tensor& dw) {
  const Conv2dGeometry g(x.shape(), dw.shape(), dy.shape(), options);
  visit_float("conv2d", dy.dtype(), [&]<class T>(TypeTag<T>) {
    if (cpu::direct3x3_fits(g))
      cpu::direct3x3_backward_weight<T>(g, dy, x, dw);
    else
      cpu::im2col_backward_weight<T>(g, dy, x, dw);
  });
}

}  // namespace

constinit decltype(kernel::conv2d) kernel::conv2d{&conv2d_cpu};
constinit decltype(kernel::conv2d_backward_data) kernel::conv2d_backward_data{&conv2d_backward_data_cpu};
constinit decltype(kernel::conv2d_backward_weight) kernel::conv2d_backward_weight{
    &conv2d_backward_weight_cpu};

}  // namespace retrace
