#include <retrace/core/tensor.h>
#include <retrace/cuda/event.h>
#include <retrace/cuda/staging.h>
#include <unistd.h>

namespace retrace::cuda {

namespace {

std::int64_t page_size() { return ::sysconf(_SC_PAGESIZE); }

/// Whole pages of a tensor's memory, so that no page is locked twice.
class PageLocked {
 public:
  explicit PageLocked(std::int64_t bytes) : memory_({bytes + 2 * page_size()}, DType::u8, Tag::data) {
    auto* begin = reinterpret_cast<std::byte*>(memory_.mutable_data<std::uint8_t>());
    const auto page = static_cast<std::uintptr_t>(page_size());
    data_ = begin + (page - reinterpret_cast<std::uintptr_t>(begin) % page) % page;
    const auto pages = (static_cast<std::uintptr_t>(bytes) + page - 1) / page;
    check(cudaHostRegister(data_, pages * page, cudaHostRegisterDefault), "cudaHostRegister");
  }
  ~PageLocked() { static_cast<void>(cudaHostUnregister(data_)); }
  PageLocked(const PageLocked&) = delete;
  PageLocked& operator=(const PageLocked&) = delete;

  std::byte* data() const { return data_; }

 private:
  Tensor memory_;
  std::byte* data_ = nullptr;
};

class CudaStaging final : public Staging {
 public:
  CudaStaging(Device device, std::int64_t bytes) : device_(device), host_(bytes) {}
  ~CudaStaging() override { copied_.finish(); }

  std::byte* data() override { return host_.data(); }
  void begin(std::byte* to, std::int64_t bytes) override {
    const Context& gpu = context(device_);
    used_.record(gpu.stream());
    used_.hold_up(gpu.copies());
    check(cudaMemcpyAsync(to, host_.data(), static_cast<std::size_t>(bytes), cudaMemcpyHostToDevice,
                          gpu.copies()),
          "cudaMemcpyAsync");
    copied_.record(gpu.copies());
  }
  void join() override { copied_.hold_up(context(device_).stream()); }
  void wait() override { copied_.wait(); }

 private:
  Device device_;
  PageLocked host_;
  Event used_;  // what was there before the copy may still be read until then
  Event copied_;
};

}  // namespace

std::unique_ptr<Staging> make_staging(Device device, std::int64_t bytes) {
  context(device);
  return std::make_unique<CudaStaging>(device, bytes);
}

}  // namespace retrace::cuda
