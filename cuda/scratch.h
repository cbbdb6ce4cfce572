#pragma once
// Internal: scratch space for the libraries.
#include <retrace/core/tensor.h>

#include <cstdint>

namespace retrace::cuda {

/// Scratch space on a GPU, aligned as cuBLAS wants it. Its bytes may be handed on when it is destroyed: who
/// gets them comes later in the stream.
class Scratch {
 public:
  Scratch(std::int64_t bytes, Device device) {
    if (bytes == 0) return;
    tensor_ = Tensor({bytes + kAlignment - kBlockAlignment}, DType::u8, Tag::workspace, device);
    auto* begin = tensor_.mutable_data<std::uint8_t>();
    data_ = begin +
            (kAlignment - static_cast<std::int64_t>(reinterpret_cast<std::uintptr_t>(begin) % kAlignment)) %
                kAlignment;
  }
  /// Null where no bytes were asked for.
  void* data() const { return data_; }

 private:
  static constexpr std::int64_t kAlignment = 256;
  Tensor tensor_;
  std::uint8_t* data_ = nullptr;
};

}  // namespace retrace::cuda
