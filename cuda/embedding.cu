#include <retrace/core/kernels.h>
#include <retrace/cuda/gpu.h>
#include <retrace/cuda/install.h>

namespace retrace::cuda {

namespace {

/// y[i][d] = weight[indices[i]][d]
template <class T>
__global__ void embedding_kernel(std::int64_t n, std::int64_t width, const T* weight,
                                 const std::int64_t* indices, T* y) {
  for (std::int64_t i = thread_index(); i < n; i += thread_count())
    y[i] = weight[indices[i / width] * width + i % width];
}

/// Where each row of the table is used, as lists in order: first[v] is the first place in `indices` of v, and
/// next[place] the place behind it; -1 ends a list. All threads read the same index at a time.
__global__ void find_uses_kernel(std::int64_t rows, std::int64_t n, const std::int64_t* indices,
                                 std::int64_t* first, std::int64_t* next) {
  for (std::int64_t v = thread_index(); v < rows; v += thread_count()) {
    std::int64_t* link = first + v;
    for (std::int64_t place = 0; place < n; ++place) {
      if (indices[place] != v) continue;
      *link = place;
      link = next + place;
    }
    *link = -1;
  }
}

/// dweight[v][d] = the sum of dy[place][d] where v is used
template <class T>
__global__ void embedding_backward_kernel(std::int64_t n, std::int64_t width, std::int64_t padding_idx,
                                          const std::int64_t* first, const std::int64_t* next, const T* dy,
                                          T* dweight) {
  for (std::int64_t i = thread_index(); i < n; i += thread_count()) {
    const std::int64_t v = i / width;
    double sum = 0;
    for (std::int64_t place = v == padding_idx ? -1 : first[v]; place >= 0; place = next[place])
      sum += static_cast<double>(dy[place * width + i % width]);
    dweight[i] = static_cast<T>(sum);
  }
}

void embedding(const Tensor& weight, const Tensor& indices, Tensor& y) {
  visit_float("embedding", weight.dtype(), [&]<class T>(TypeTag<T>) {
    launch(y.device(), blocks_for(y.numel()), kThreads, &embedding_kernel<T>, y.numel(), weight.shape()[1],
           weight.data<T>(), indices.data<std::int64_t>(), y.mutable_data<T>());
  });
}

void embedding_backward(const Tensor& dy, const Tensor& indices, std::int64_t padding_idx, Tensor& dweight) {
  const std::int64_t rows = dweight.shape()[0];
  Tensor first({rows}, DType::i64, Tag::workspace, dy.device());
  Tensor next({indices.numel()}, DType::i64, Tag::workspace, dy.device());
  launch(dy.device(), blocks_for(rows), kThreads, &find_uses_kernel, rows, indices.numel(),
         indices.data<std::int64_t>(), first.mutable_data<std::int64_t>(), next.mutable_data<std::int64_t>());
  visit_float("embedding", dy.dtype(), [&]<class T>(TypeTag<T>) {
    launch(dy.device(), blocks_for(dweight.numel()), kThreads, &embedding_backward_kernel<T>, dweight.numel(),
           dweight.shape()[1], padding_idx, first.data<std::int64_t>(), next.data<std::int64_t>(),
           dy.data<T>(), dweight.mutable_data<T>());
  });
}

}  // namespace

void install_embedding() {
  kernel::embedding.install(DeviceKind::cuda, &embedding);
  kernel::embedding_backward.install(DeviceKind::cuda, &embedding_backward);
}

}  // namespace retrace::cuda
