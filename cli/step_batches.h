#pragma once
#include <retrace/nn/data/loader.h>
#include <retrace/nn/safetensors.h>

#include <cstdint>
#include <filesystem>
#include <string_view>

namespace retrace::cli {

/// The tensor of that name in a file, or null.
const Tensor* find_tensor(const TensorFile& file, std::string_view name);

/// The images and labels of every step of `retrace step`.
class StepBatches {
 public:
  /// Reads `path`. Throws IoError, and FormatError unless the file holds images and labels, enough of them
  /// for `steps` and of fitting types.
  StepBatches(const std::filesystem::path& path, DType dtype, std::int64_t steps);

  /// The channels of the images.
  std::int64_t channels() const { return images_.shape()[-3]; }
  /// The batch of step `number`, counted from 1.
  Batch batch(std::int64_t number) const;

 private:
  void check_shapes(const std::filesystem::path& path);
  Tensor part(const Tensor& all, std::int64_t number) const;

  Tensor images_;
  Tensor labels_;
  bool each_ = false;  // the file has a batch for each step
};

}  // namespace retrace::cli
