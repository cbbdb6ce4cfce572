// Any file as the test images of CIFAR-10 and of CIFAR-100.
#include <retrace/nn/data/cifar.h>

#include "fuzz.h"

using namespace retrace;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::write("test_batch.bin", {data, size});
  fuzz::expect_result_or_error([] { cifar10(fuzz::scratch_folder(), Split::test); });
  fuzz::write("test.bin", {data, size});
  fuzz::expect_result_or_error([] { cifar100(fuzz::scratch_folder(), Split::test); });
  return 0;
}
