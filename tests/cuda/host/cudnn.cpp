// The functions of cuDNN that take a handle and that the backend calls, on the host, as its documentation
// describes them. Descriptors, and what is checked when they are set, are the real library's. The compiler
// checks signatures against the real header.
#include "elements.h"
#include "host_layer.h"

#include <cudnn.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <span>
#include <vector>

using retrace::DType;
using namespace retrace::gpu_host;

/// What a handle points to.
struct cudnnContext {
  cudaStream_t stream = nullptr;
};

namespace retrace::gpu_host {

namespace {
ConvolutionCalls calls;
bool scarce = false;
}  // namespace
void set_scarce(bool to) { scarce = to; }
const ConvolutionCalls& convolution_calls() { return calls; }

}  // namespace retrace::gpu_host

namespace {

/// Elements of a tensor or filter in the device's memory.
struct Elements {
  cudnnDataType_t type;
  int n, c, h, w;
  int strides[4];
  void* data = nullptr;

  DType dtype() const {
    if (type == CUDNN_DATA_DOUBLE) return DType::f64;
    if (type == CUDNN_DATA_FLOAT) return DType::f32;
    return type == CUDNN_DATA_BFLOAT16 ? DType::bf16 : DType::f16;
  }
  std::int64_t offset(std::int64_t in, std::int64_t ic, std::int64_t ih, std::int64_t iw) const {
    return in * strides[0] + ic * strides[1] + ih * strides[2] + iw * strides[3];
  }
  std::int64_t extent() const { return offset(n - 1, c - 1, h - 1, w - 1) + 1; }
  bool on_device() const {
    return is_device_memory(data, static_cast<std::size_t>(extent()) * retrace::size_of(dtype()));
  }
};

cudnnStatus_t read(cudnnTensorDescriptor_t from, Elements& to) {
  int* s = to.strides;
  return cudnnGetTensor4dDescriptor(from, &to.type, &to.n, &to.c, &to.h, &to.w, &s[0], &s[1], &s[2], &s[3]);
}
cudnnStatus_t read(cudnnFilterDescriptor_t from, Elements& to) {
  cudnnTensorFormat_t format{};
  const cudnnStatus_t status =
      cudnnGetFilter4dDescriptor(from, &to.type, &format, &to.n, &to.c, &to.h, &to.w);
  to.strides[0] = to.c * to.h * to.w;
  to.strides[1] = to.h * to.w;
  to.strides[2] = to.w;
  to.strides[3] = 1;
  return status == CUDNN_STATUS_SUCCESS && format != CUDNN_TENSOR_NCHW ? CUDNN_STATUS_NOT_SUPPORTED : status;
}

/// x * w = y.
struct Problem {
  Elements x, w, y;
  int pad_h, pad_w, stride_h, stride_w, dilation_h, dilation_w, groups;
  cudnnConvolutionMode_t mode;
  cudnnDataType_t compute;
  cudnnMathType_t math;

  void place(const void* x_data, const void* w_data, const void* y_data) {
    x.data = const_cast<void*>(x_data);
    w.data = const_cast<void*>(w_data);
    y.data = const_cast<void*>(y_data);
  }
  /// Calls f(offset in x, in w, in y) for each product.
  template <class F>
  void for_each_product(const F& f) const {
    for (int n = 0; n < y.n; ++n)
      for (int o = 0; o < y.c; ++o)
        for (int c = 0; c < w.c; ++c)
          for (int r = 0; r < w.h; ++r)
            for (int s = 0; s < w.w; ++s)
              for_each_position(
                  r, s, [&, channel = o / (w.n / groups) * w.c + c](int u, int v, int row, int column) {
                    f(x.offset(n, channel, row, column), w.offset(o, c, flip(r, w.h), flip(s, w.w)),
                      y.offset(n, o, u, v));
                  });
  }
  double factor(const Elements& from, std::int64_t at) const {
    const double value = load(from.dtype(), from.data, at);
    return from.type == CUDNN_DATA_FLOAT && math != CUDNN_FMA_MATH ? tf32(value) : value;
  }

 private:
  /// Where in y and in x the filter's element (r, s) meets something else than padding.
  template <class F>
  void for_each_position(int r, int s, const F& f) const {
    for (int u = 0; u < y.h; ++u)
      for (int v = 0; v < y.w; ++v) {
        const int row = u * stride_h - pad_h + r * dilation_h;
        const int column = v * stride_w - pad_w + s * dilation_w;
        if (row >= 0 && row < x.h && column >= 0 && column < x.w) f(u, v, row, column);
      }
  }
  int flip(int i, int extent) const { return mode == CUDNN_CONVOLUTION ? extent - 1 - i : i; }
  /// 11 significant bits: what other mathematics than CUDNN_FMA_MATH may do to f32.
  static double tf32(double value) {
    int exponent = 0;
    return std::ldexp(std::nearbyint(std::ldexp(std::frexp(value, &exponent), 11)), exponent - 11);
  }
};

cudnnStatus_t read(cudnnTensorDescriptor_t x, cudnnFilterDescriptor_t w, cudnnConvolutionDescriptor_t how,
                   cudnnTensorDescriptor_t y, Problem& p) {
  int n = 0;
  int c = 0;
  int h = 0;
  int width = 0;
  for (const cudnnStatus_t status :
       {read(x, p.x), read(w, p.w), read(y, p.y), cudnnGetConvolutionGroupCount(how, &p.groups),
        cudnnGetConvolutionMathType(how, &p.math),
        cudnnGetConvolution2dDescriptor(how, &p.pad_h, &p.pad_w, &p.stride_h, &p.stride_w, &p.dilation_h,
                                        &p.dilation_w, &p.mode, &p.compute),
        cudnnGetConvolution2dForwardOutputDim(how, x, w, &n, &c, &h, &width)})
    if (status != CUDNN_STATUS_SUCCESS) return status;
  if (n != p.y.n || c != p.y.c || h != p.y.h || width != p.y.w) return CUDNN_STATUS_BAD_PARAM_SHAPE_MISMATCH;
  if (p.x.c != p.w.c * p.groups || p.w.n % p.groups != 0) return CUDNN_STATUS_BAD_PARAM_SHAPE_MISMATCH;
  const bool is_double = p.x.type == CUDNN_DATA_DOUBLE;
  if (p.w.type != p.x.type || p.y.type != p.x.type || (p.compute == CUDNN_DATA_DOUBLE) != is_double)
    return CUDNN_STATUS_BAD_PARAM;
  return CUDNN_STATUS_SUCCESS;
}

/// An algorithm: what the heuristics say of it, the fastest first.
template <class Algorithm>
struct Choice {
  Algorithm algorithm;
  cudnnStatus_t status;
  cudnnDeterminism_t determinism;
  std::size_t workspace;
};

// One that does not run, one that takes much, one that differs from time to time, one that is to be chosen,
// and the direct one.
constexpr std::size_t kMuch = (std::size_t{64} << 20) + 1;
constexpr std::size_t kSome = std::size_t{1} << 20;
constexpr std::size_t kLittle = std::size_t{1} << 10;
constexpr Choice<cudnnConvolutionFwdAlgo_t> kForward[] = {
    {CUDNN_CONVOLUTION_FWD_ALGO_FFT, CUDNN_STATUS_NOT_SUPPORTED, CUDNN_DETERMINISTIC, 0},
    {CUDNN_CONVOLUTION_FWD_ALGO_WINOGRAD_NONFUSED, CUDNN_STATUS_SUCCESS, CUDNN_DETERMINISTIC, kMuch},
    {CUDNN_CONVOLUTION_FWD_ALGO_FFT_TILING, CUDNN_STATUS_SUCCESS, CUDNN_NON_DETERMINISTIC, kLittle},
    {CUDNN_CONVOLUTION_FWD_ALGO_WINOGRAD, CUDNN_STATUS_SUCCESS, CUDNN_DETERMINISTIC, kSome},
    {CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_GEMM, CUDNN_STATUS_SUCCESS, CUDNN_DETERMINISTIC, 0}};
constexpr Choice<cudnnConvolutionBwdDataAlgo_t> kBackwardData[] = {
    {CUDNN_CONVOLUTION_BWD_DATA_ALGO_FFT, CUDNN_STATUS_NOT_SUPPORTED, CUDNN_DETERMINISTIC, 0},
    {CUDNN_CONVOLUTION_BWD_DATA_ALGO_WINOGRAD_NONFUSED, CUDNN_STATUS_SUCCESS, CUDNN_DETERMINISTIC, kMuch},
    {CUDNN_CONVOLUTION_BWD_DATA_ALGO_0, CUDNN_STATUS_SUCCESS, CUDNN_NON_DETERMINISTIC, 0},
    {CUDNN_CONVOLUTION_BWD_DATA_ALGO_WINOGRAD, CUDNN_STATUS_SUCCESS, CUDNN_DETERMINISTIC, kSome},
    {CUDNN_CONVOLUTION_BWD_DATA_ALGO_1, CUDNN_STATUS_SUCCESS, CUDNN_DETERMINISTIC, kLittle}};
constexpr Choice<cudnnConvolutionBwdFilterAlgo_t> kBackwardFilter[] = {
    {CUDNN_CONVOLUTION_BWD_FILTER_ALGO_FFT, CUDNN_STATUS_NOT_SUPPORTED, CUDNN_DETERMINISTIC, 0},
    {CUDNN_CONVOLUTION_BWD_FILTER_ALGO_WINOGRAD_NONFUSED, CUDNN_STATUS_SUCCESS, CUDNN_DETERMINISTIC, kMuch},
    {CUDNN_CONVOLUTION_BWD_FILTER_ALGO_0, CUDNN_STATUS_SUCCESS, CUDNN_NON_DETERMINISTIC, 0},
    {CUDNN_CONVOLUTION_BWD_FILTER_ALGO_FFT_TILING, CUDNN_STATUS_SUCCESS, CUDNN_DETERMINISTIC, kSome},
    {CUDNN_CONVOLUTION_BWD_FILTER_ALGO_1, CUDNN_STATUS_SUCCESS, CUDNN_DETERMINISTIC, kLittle}};

template <class Algorithm, std::size_t Count, class Candidate>
cudnnStatus_t heuristics(cudnnHandle_t handle, cudnnStatus_t problem,
                         const Choice<Algorithm> (&choices)[Count], int most, int* count, Candidate* found) {
  if (handle == nullptr || most < 1) return CUDNN_STATUS_BAD_PARAM;
  if (problem != CUDNN_STATUS_SUCCESS) return problem;
  ++calls.questions;
  *count = std::min(most, static_cast<int>(Count));
  for (const auto& choice : std::span(choices).first(static_cast<std::size_t>(*count)))
    *found++ = {choice.algorithm,   choice.status,  0.5F, choice.workspace,
                choice.determinism, CUDNN_FMA_MATH, {}};
  return CUDNN_STATUS_SUCCESS;
}

template <class Algorithm, std::size_t Count>
cudnnStatus_t workspace(cudnnHandle_t handle, cudnnStatus_t problem,
                        const Choice<Algorithm> (&choices)[Count], Algorithm algorithm, std::size_t* bytes) {
  if (handle == nullptr) return CUDNN_STATUS_BAD_PARAM;
  if (problem != CUDNN_STATUS_SUCCESS) return problem;
  for (const auto& choice : choices) {
    if (choice.algorithm != algorithm || choice.status != CUDNN_STATUS_SUCCESS) continue;
    *bytes = scarce && &choice != &choices[Count - 1] ? kMuch : choice.workspace;
    return CUDNN_STATUS_SUCCESS;
  }
  return CUDNN_STATUS_NOT_SUPPORTED;
}

/// What a convolution is given besides its tensors.
struct Call {
  cudnnHandle_t handle;
  int algorithm;
  void* workspace;
  std::size_t bytes;
  const void* alpha;
  const void* beta;
};

cudnnStatus_t check(const Call& call, std::size_t needed, const Problem& p) {
  if (call.alpha == nullptr || call.beta == nullptr) return CUDNN_STATUS_BAD_PARAM;
  if (call.handle->stream == nullptr)
    return CUDNN_STATUS_BAD_PARAM_STREAM_MISMATCH;  // would not wait for the backend
  if (call.bytes < needed) return CUDNN_STATUS_BAD_PARAM_SIZE_INSUFFICIENT;
  if (needed > 0 && !is_device_memory(call.workspace, needed)) return CUDNN_STATUS_EXECUTION_FAILED;
  return p.x.on_device() && p.w.on_device() && p.y.on_device() ? CUDNN_STATUS_SUCCESS
                                                               : CUDNN_STATUS_EXECUTION_FAILED;
}

/// result = alpha sums + beta result
void write(const Call& call, cudnnDataType_t compute, const std::vector<double>& sums,
           const Elements& result) {
  const auto scalar = [&](const void* value) {
    return compute == CUDNN_DATA_DOUBLE ? *static_cast<const double*>(value)
                                        : *static_cast<const float*>(value);
  };
  const double scale = scalar(call.alpha);
  const double keep = scalar(call.beta);
  for (int n = 0; n < result.n; ++n)
    for (int c = 0; c < result.c; ++c)
      for (int h = 0; h < result.h; ++h)
        for (int w = 0; w < result.w; ++w) {
          const std::int64_t at = result.offset(n, c, h, w);
          // a beta of 0 does not read the result
          const double kept = keep == 0 ? 0 : keep * load(result.dtype(), result.data, at);
          store(result.dtype(), result.data, at, scale * sums[static_cast<std::size_t>(at)] + kept);
        }
}

/// The convolution in the direction of p's member `result`, from the other two.
template <class Algorithm, std::size_t Count>
cudnnStatus_t convolve(const Call& call, cudnnStatus_t problem, const Choice<Algorithm> (&choices)[Count],
                       const Problem& p, Elements Problem::*result) {
  std::size_t needed = 0;
  if (const auto s =
          workspace(call.handle, problem, choices, static_cast<Algorithm>(call.algorithm), &needed))
    return s;
  if (const auto s = check(call, needed, p)) return s;
  count_library_call();
  calls.algorithm = call.algorithm;
  calls.workspace = call.bytes;
  const DeviceAccess access;
  if (needed > 0) std::memset(call.workspace, 0xff, needed);  // whoever else believes to own it sees NaN
  std::vector<double> sums(static_cast<std::size_t>((p.*result).extent()));
  const auto sum = [&](std::int64_t at) -> double& { return sums[static_cast<std::size_t>(at)]; };
  p.for_each_product([&](std::int64_t x, std::int64_t w, std::int64_t y) {
    if (result == &Problem::y) sum(y) += p.factor(p.x, x) * p.factor(p.w, w);
    if (result == &Problem::x) sum(x) += p.factor(p.y, y) * p.factor(p.w, w);
    if (result == &Problem::w) sum(w) += p.factor(p.x, x) * p.factor(p.y, y);
  });
  write(call, p.compute, sums, p.*result);
  return CUDNN_STATUS_SUCCESS;
}

}  // namespace

extern "C" {

cudnnStatus_t cudnnCreate(cudnnHandle_t* handle) {
  *handle = new cudnnContext;
  return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnDestroy(cudnnHandle_t handle) {
  delete handle;
  return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnSetStream(cudnnHandle_t handle, cudaStream_t stream) {
  if (handle == nullptr) return CUDNN_STATUS_BAD_PARAM;
  handle->stream = stream;
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnGetConvolutionForwardAlgorithm_v7(cudnnHandle_t handle, cudnnTensorDescriptor_t x,
                                                     cudnnFilterDescriptor_t w,
                                                     cudnnConvolutionDescriptor_t how,
                                                     cudnnTensorDescriptor_t y, int most, int* count,
                                                     cudnnConvolutionFwdAlgoPerf_t* found) {
  Problem p{};
  return heuristics(handle, read(x, w, how, y, p), kForward, most, count, found);
}
cudnnStatus_t cudnnGetConvolutionBackwardDataAlgorithm_v7(cudnnHandle_t handle, cudnnFilterDescriptor_t w,
                                                          cudnnTensorDescriptor_t dy,
                                                          cudnnConvolutionDescriptor_t how,
                                                          cudnnTensorDescriptor_t dx, int most, int* count,
                                                          cudnnConvolutionBwdDataAlgoPerf_t* found) {
  Problem p{};
  return heuristics(handle, read(dx, w, how, dy, p), kBackwardData, most, count, found);
}
cudnnStatus_t cudnnGetConvolutionBackwardFilterAlgorithm_v7(cudnnHandle_t handle, cudnnTensorDescriptor_t x,
                                                            cudnnTensorDescriptor_t dy,
                                                            cudnnConvolutionDescriptor_t how,
                                                            cudnnFilterDescriptor_t dw, int most, int* count,
                                                            cudnnConvolutionBwdFilterAlgoPerf_t* found) {
  Problem p{};
  return heuristics(handle, read(x, dw, how, dy, p), kBackwardFilter, most, count, found);
}

cudnnStatus_t cudnnGetConvolutionForwardWorkspaceSize(cudnnHandle_t handle, cudnnTensorDescriptor_t x,
                                                      cudnnFilterDescriptor_t w,
                                                      cudnnConvolutionDescriptor_t how,
                                                      cudnnTensorDescriptor_t y,
                                                      cudnnConvolutionFwdAlgo_t algorithm,
                                                      std::size_t* bytes) {
  Problem p{};
  return workspace(handle, read(x, w, how, y, p), kForward, algorithm, bytes);
}
cudnnStatus_t cudnnGetConvolutionBackwardDataWorkspaceSize(cudnnHandle_t handle, cudnnFilterDescriptor_t w,
                                                           cudnnTensorDescriptor_t dy,
                                                           cudnnConvolutionDescriptor_t how,
                                                           cudnnTensorDescriptor_t dx,
                                                           cudnnConvolutionBwdDataAlgo_t algorithm,
                                                           std::size_t* bytes) {
  Problem p{};
  return workspace(handle, read(dx, w, how, dy, p), kBackwardData, algorithm, bytes);
}
cudnnStatus_t cudnnGetConvolutionBackwardFilterWorkspaceSize(cudnnHandle_t handle, cudnnTensorDescriptor_t x,
                                                             cudnnTensorDescriptor_t dy,
                                                             cudnnConvolutionDescriptor_t how,
                                                             cudnnFilterDescriptor_t dw,
                                                             cudnnConvolutionBwdFilterAlgo_t algorithm,
                                                             std::size_t* bytes) {
  Problem p{};
  return workspace(handle, read(x, dw, how, dy, p), kBackwardFilter, algorithm, bytes);
}

cudnnStatus_t cudnnConvolutionForward(cudnnHandle_t handle, const void* alpha,
                                      cudnnTensorDescriptor_t x_descriptor, const void* x,
                                      cudnnFilterDescriptor_t w_descriptor, const void* w,
                                      cudnnConvolutionDescriptor_t how, cudnnConvolutionFwdAlgo_t algorithm,
                                      void* workspace, std::size_t bytes, const void* beta,
                                      cudnnTensorDescriptor_t y_descriptor, void* y) {
  Problem p{};
  const cudnnStatus_t status = read(x_descriptor, w_descriptor, how, y_descriptor, p);
  p.place(x, w, y);
  return convolve({handle, algorithm, workspace, bytes, alpha, beta}, status, kForward, p, &Problem::y);
}
cudnnStatus_t cudnnConvolutionBackwardData(cudnnHandle_t handle, const void* alpha,
                                           cudnnFilterDescriptor_t w_descriptor, const void* w,
                                           cudnnTensorDescriptor_t dy_descriptor, const void* dy,
                                           cudnnConvolutionDescriptor_t how,
                                           cudnnConvolutionBwdDataAlgo_t algorithm, void* workspace,
                                           std::size_t bytes, const void* beta,
                                           cudnnTensorDescriptor_t dx_descriptor, void* dx) {
  Problem p{};
  const cudnnStatus_t status = read(dx_descriptor, w_descriptor, how, dy_descriptor, p);
  p.place(dx, w, dy);
  return convolve({handle, algorithm, workspace, bytes, alpha, beta}, status, kBackwardData, p, &Problem::x);
}
cudnnStatus_t cudnnConvolutionBackwardFilter(cudnnHandle_t handle, const void* alpha,
                                             cudnnTensorDescriptor_t x_descriptor, const void* x,
                                             cudnnTensorDescriptor_t dy_descriptor, const void* dy,
                                             cudnnConvolutionDescriptor_t how,
                                             cudnnConvolutionBwdFilterAlgo_t algorithm, void* workspace,
                                             std::size_t bytes, const void* beta,
                                             cudnnFilterDescriptor_t dw_descriptor, void* dw) {
  Problem p{};
  const cudnnStatus_t status = read(x_descriptor, dw_descriptor, how, dy_descriptor, p);
  p.place(x, dw, dy);
  return convolve({handle, algorithm, workspace, bytes, alpha, beta}, status, kBackwardFilter, p,
                  &Problem::w);
}

}  // extern "C"
