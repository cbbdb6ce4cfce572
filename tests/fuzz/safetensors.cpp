// Any file as safetensors. What is read must come back bit by bit when it is written and read again.
#include <retrace/nn/safetensors.h>

#include "fuzz.h"

using namespace retrace;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::expect_result_or_error([&] {
    const TensorFile file = load_tensors(fuzz::write("input.safetensors", {data, size}));
    const std::filesystem::path copy = fuzz::scratch_folder() / "copy.safetensors";
    save_tensors(copy, file.tensors, file.metadata);
    const TensorFile again = load_tensors(copy);
    if (again.tensors.size() != file.tensors.size() || again.metadata != file.metadata) std::abort();
  });
  return 0;
}
