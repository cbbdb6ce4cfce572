#pragma once
#include <retrace/core/tensor.h>
#include <retrace/nn/module.h>

#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace retrace {

/// Text beside the tensors of a file: the name of the network, the step, ...
using Metadata = std::map<std::string, std::string>;

/// What a file of tensors holds.
struct TensorFile {
  std::vector<Named<Tensor>> tensors{};  ///< in the order of the file's header
  Metadata metadata{};                   ///< the header's text
};

/// Writes tensors as safetensors (https://github.com/huggingface/safetensors), which PyTorch and others read:
/// 8 bytes with the length of a JSON header, the header, then the elements, little-endian, wide types first
/// so that they are aligned. The file is replaced as a whole or not at all. Throws ArgumentError for a name
/// that occurs twice, text that is not UTF-8, and more than 100 MB of names and shapes, and IoError.
void save_tensors(const std::filesystem::path& path, const std::vector<Named<Tensor>>& tensors,
                  const Metadata& metadata = {});

/// Reads a safetensors file of F32, F64, BF16, F16, U8, I32 and I64. Throws IoError, and FormatError, naming
/// the file, what was expected and what was found, for every file that save_tensors would not have written.
TensorFile load_tensors(const std::filesystem::path& path);

}  // namespace retrace
