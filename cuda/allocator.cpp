#include <retrace/cuda/allocator.h>
#include <retrace/cuda/context.h>
#include <retrace/cuda/staging.h>

namespace retrace::cuda {

namespace {

/// All of a GPU's work runs in one stream, so a block that was freed may be handed out at once: who gets it
/// comes later in the stream.
class CudaAllocator final : public Allocator {
 public:
  explicit CudaAllocator(Device device) : device_(device) {}

  /// Returns when the host's bytes may change: CUDA copies pageable memory aside first.
  void upload(const std::byte* host, std::byte* device, std::int64_t bytes) override {
    copy(device, host, bytes, cudaMemcpyHostToDevice);
  }
  /// Waits for the bytes.
  void download(const std::byte* device, std::byte* host, std::int64_t bytes) override {
    copy(host, device, bytes, cudaMemcpyDeviceToHost);
    check(cudaStreamSynchronize(context(device_).stream()), "cudaStreamSynchronize");
  }

  std::unique_ptr<Staging> stage(std::int64_t bytes) override { return make_staging(device_, bytes); }

 private:
  std::byte* obtain(std::int64_t bytes) override {
    context(device_);
    void* data = nullptr;
    const cudaError_t status = cudaMalloc(&data, static_cast<std::size_t>(bytes));
    if (status == cudaErrorMemoryAllocation) {
      static_cast<void>(cudaGetLastError());  // or the next call would report it again
      return nullptr;
    }
    check(status, "cudaMalloc");
    return static_cast<std::byte*>(data);
  }
  void give_back(std::byte* data, std::int64_t) override {
    context(device_);
    check(cudaFree(data), "cudaFree");
  }
  /// A GPU gives physical memory to all of a segment, so they are small.
  std::int64_t segment_bytes() const override { return std::int64_t{32} << 20; }

  void copy(void* to, const void* from, std::int64_t bytes, cudaMemcpyKind kind) {
    check(cudaMemcpyAsync(to, from, static_cast<std::size_t>(bytes), kind, context(device_).stream()),
          "cudaMemcpyAsync");
  }

  Device device_;
};

}  // namespace

std::unique_ptr<Allocator> make_allocator(Device device) { return std::make_unique<CudaAllocator>(device); }

}  // namespace retrace::cuda
