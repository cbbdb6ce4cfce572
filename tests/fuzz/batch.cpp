// Any file as the batches of `retrace step --batch`.
#include <retrace/cli/step_batches.h>

#include "fuzz.h"

using namespace retrace;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::filesystem::path path = fuzz::write("batch.safetensors", {data, size});
  fuzz::expect_result_or_error([&] {
    const cli::StepBatches batches(path, DType::f32, 2);
    for (const std::int64_t number : {1, 2}) static_cast<void>(batches.batch(number));
  });
  return 0;
}
