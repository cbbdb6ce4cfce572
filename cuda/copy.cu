#include <retrace/core/convert.h>
#include <retrace/core/kernels.h>
#include <retrace/core/loops.h>
#include <retrace/cuda/gpu.h>
#include <retrace/cuda/install.h>

namespace retrace::cuda {

namespace {

template <class T>
__global__ void fill_kernel(std::int64_t n, T value, T* y) {
  for (std::int64_t i = thread_index(); i < n; i += thread_count()) y[i] = value;
}

template <class From, class To>
__global__ void cast_kernel(std::int64_t n, const From* x, To* y) {
  for (std::int64_t i = thread_index(); i < n; i += thread_count()) y[i] = static_cast<To>(x[i]);
}

/// Where the elements of a slice of one dimension lie in the whole tensor.
struct Slice {
  std::int64_t inner;         ///< elements behind the dimension
  std::int64_t count;         ///< of the slice in the dimension
  std::int64_t first;         ///< element of the whole at which the slice begins
  std::int64_t outer_stride;  ///< in the whole
  std::int64_t step;          ///< in the whole, from one index of the dimension to the next

  Slice(const Shape& whole, const Shape& part, int dim, std::int64_t begin, std::int64_t stride)
      : inner(whole.numel_after(dim)),
        count(part[dim]),
        first(begin * inner),
        outer_stride(whole[dim] * inner),
        step(stride * inner) {}

  __device__ std::int64_t in_whole(std::int64_t i) const {
    const std::int64_t row = i / inner;
    return first + row / count * outer_stride + row % count * step + i % inner;
  }
};

template <class T>
__global__ void slice_copy_kernel(std::int64_t n, Slice slice, const T* whole, T* part) {
  for (std::int64_t i = thread_index(); i < n; i += thread_count()) part[i] = whole[slice.in_whole(i)];
}

template <class T>
__global__ void slice_write_kernel(std::int64_t n, Slice slice, const T* part, T* whole) {
  for (std::int64_t i = thread_index(); i < n; i += thread_count()) whole[slice.in_whole(i)] = part[i];
}

template <class T>
__global__ void permute_kernel(std::int64_t n, detail::Loops<1> loops, const T* x, T* y) {
  for (std::int64_t i = thread_index(); i < n; i += thread_count()) y[i] = x[loops.step_offsets(i)[0]];
}

void copy(const Tensor& x, Tensor& y) {
  visit(x.dtype(), [&]<class T>(TypeTag<T>) {
    check(cudaMemcpyAsync(y.mutable_data<T>(), x.data<T>(), static_cast<std::size_t>(x.bytes()),
                          cudaMemcpyDeviceToDevice, context(x.device()).stream()),
          "cudaMemcpyAsync");
  });
}

void fill(Tensor& y, double value) {
  visit(y.dtype(), [&]<class T>(TypeTag<T>) {
    launch(y.device(), blocks_for(y.numel()), kThreads, &fill_kernel<T>, y.numel(), convert_to<T>(value),
           y.mutable_data<T>());
  });
}

void cast(const Tensor& x, Tensor& y) {
  visit_any_float("cast", x.dtype(), [&]<class From>(TypeTag<From>) {
    visit_any_float("cast", y.dtype(), [&]<class To>(TypeTag<To>) {
      launch(x.device(), blocks_for(x.numel()), kThreads, &cast_kernel<From, To>, x.numel(), x.data<From>(),
             y.mutable_data<To>());
    });
  });
}

void slice_copy(const Tensor& x, int dim, std::int64_t begin, std::int64_t step, Tensor& y) {
  const Slice slice(x.shape(), y.shape(), dim, begin, step);
  visit(x.dtype(), [&]<class T>(TypeTag<T>) {
    launch(x.device(), blocks_for(y.numel()), kThreads, &slice_copy_kernel<T>, y.numel(), slice, x.data<T>(),
           y.mutable_data<T>());
  });
}

void slice_write(const Tensor& y, int dim, std::int64_t begin, std::int64_t step, Tensor& x) {
  const Slice slice(x.shape(), y.shape(), dim, begin, step);
  visit(x.dtype(), [&]<class T>(TypeTag<T>) {
    launch(x.device(), blocks_for(y.numel()), kThreads, &slice_write_kernel<T>, y.numel(), slice, y.data<T>(),
           x.mutable_data<T>());
  });
}

void permute(const Tensor& x, const Permutation& dims, Tensor& y) {
  detail::Loops<1> loops;
  for (int d = 0; d < dims.rank; ++d)
    loops.push({.extent = y.shape()[d], .strides = {x.shape().numel_after(dims[d])}});
  visit(x.dtype(), [&]<class T>(TypeTag<T>) {
    launch(x.device(), blocks_for(x.numel()), kThreads, &permute_kernel<T>, x.numel(), loops, x.data<T>(),
           y.mutable_data<T>());
  });
}

}  // namespace

void install_copy() {
  kernel::copy.install(DeviceKind::cuda, &copy);
  kernel::fill.install(DeviceKind::cuda, &fill);
  kernel::cast.install(DeviceKind::cuda, &cast);
  kernel::slice_copy.install(DeviceKind::cuda, &slice_copy);
  kernel::slice_write.install(DeviceKind::cuda, &slice_write);
  kernel::permute.install(DeviceKind::cuda, &permute);
}

}  // namespace retrace::cuda
