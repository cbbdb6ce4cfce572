#include <retrace/core/fail.h>
#include <retrace/cuda/allocator.h>
#include <retrace/cuda/context.h>
#include <retrace/cuda/device.h>
#include <retrace/cuda/event.h>
#include <retrace/cuda/install.h>

#include <array>
#include <mutex>
#include <string_view>

namespace retrace::cuda {

namespace {

constexpr int kMostDevices = 64;
std::array<Context*, kMostDevices> contexts{};
std::mutex mutex;

Context& context_of(Device device) { return *contexts[static_cast<std::size_t>(device.index())]; }
Allocator& allocator_of(Device device) { return context_of(device).allocator(); }

[[noreturn]] void fail_call(const char* call, int code, std::string_view text, Place place) {
  const std::string_view file = place.file;
  fail<DeviceError>("cuda", "{} must succeed, got {} ({}) at {}:{}", call, code, text,
                    file.substr(file.find_last_of('/') + 1), place.line);
}

int device_count() {
  int count = 0;
  const cudaError_t status = cudaGetDeviceCount(&count);
  if (status == cudaErrorInsufficientDriver)
    fail<DeviceError>(
        "cuda", "a driver for NVIDIA's GPUs must be installed, got none that is recent enough for CUDA {}",
        CUDART_VERSION / 1000);
  if (status == cudaErrorNoDevice || (status == cudaSuccess && count == 0))
    fail<DeviceError>("cuda", "the machine must have a GPU, got none");
  check(status, "cudaGetDeviceCount");
  return count;
}

}  // namespace

void check(cudaError_t status, const char* call, Place place) {
  if (status != cudaSuccess) fail_call(call, status, cudaGetErrorString(status), place);
}

void check(cublasStatus_t status, const char* call, Place place) {
  if (status != CUBLAS_STATUS_SUCCESS) fail_call(call, status, cublasGetStatusString(status), place);
}

void check(cudnnStatus_t status, const char* call, Place place) {
  if (status != CUDNN_STATUS_SUCCESS) fail_call(call, status, cudnnGetErrorString(status), place);
}

Context::Context(Device device) : allocator_(make_allocator(device)) {
  check(cudaSetDevice(device.index()), "cudaSetDevice");
  for (cudaStream_t* stream : {&stream_, &copies_})
    check(cudaStreamCreateWithFlags(stream, cudaStreamNonBlocking), "cudaStreamCreateWithFlags");
}

cublasHandle_t Context::cublas() {
  if (cublas_ == nullptr) {
    check(cublasCreate(&cublas_), "cublasCreate");
    check(cublasSetStream(cublas_, stream_), "cublasSetStream");
    // Else parts of a long sum of bf16 or f16 products may be rounded to that type before they are added.
    check(cublasSetMathMode(cublas_, CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION), "cublasSetMathMode");
  }
  return cublas_;
}

cudnnHandle_t Context::cudnn() {
  if (cudnn_ == nullptr) {
    check(cudnnCreate(&cudnn_), "cudnnCreate");
    check(cudnnSetStream(cudnn_, stream_), "cudnnSetStream");
  }
  return cudnn_;
}

Context& context(Device device) {
  check(cudaSetDevice(device.index()), "cudaSetDevice");
  return context_of(device);
}

Device device(int index) {
  const int count = std::min(device_count(), kMostDevices);
  if (index < 0 || index >= count)
    fail<DeviceError>("cuda", "the GPU's number must be in [0,{}), got {}", count, index);
  const std::lock_guard lock(mutex);
  const Device device(DeviceKind::cuda, index);
  Context*& slot = contexts[static_cast<std::size_t>(index)];
  if (slot == nullptr) {
    slot = new Context(device);
    install_allocators(DeviceKind::cuda, &allocator_of);
    install_kernels();
  }
  return device;
}

void synchronize(Device device) {
  if (device.kind() == DeviceKind::cuda)
    check(cudaStreamSynchronize(context(device).stream()), "cudaStreamSynchronize");
}

double seconds_by_events(Device device, const std::function<void()>& work) {
  const Context& gpu = context(device);
  Event start(cudaEventDefault);
  Event end(cudaEventDefault);
  start.record(gpu.stream());
  work();
  end.record(gpu.stream());
  end.wait();
  return end.seconds_since(start);
}

Properties properties(Device device) {
  if (device.kind() != DeviceKind::cuda)
    fail<DeviceError>("cuda", "only a GPU has properties, got {}", device);
  cudaDeviceProp found{};
  check(cudaGetDeviceProperties(&found, device.index()), "cudaGetDeviceProperties");
  int kilohertz = 0;
  check(cudaDeviceGetAttribute(&kilohertz, cudaDevAttrClockRate, device.index()), "cudaDeviceGetAttribute");
  const int lanes = found.major == 8 && found.minor == 0 ? 64 : 128;  // of f32 in a multiprocessor
  return {.name = found.name,
          .memory_bytes = static_cast<std::int64_t>(found.totalGlobalMem),
          .gflops = 2e-6 * found.multiProcessorCount * lanes * kilohertz};
}

}  // namespace retrace::cuda
