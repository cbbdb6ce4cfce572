// Any file as images and as labels in IDX form.
#include <retrace/nn/data/idx.h>

#include "fuzz.h"

using namespace retrace;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  // the first byte, if it is even, is the number of labels in a file of their own
  const bool own_labels = size > 0 && data[0] % 2 == 0;
  fuzz::write("t10k-images-idx3-ubyte", {data, size});
  if (own_labels) {
    std::string labels = {0, 0, 8, 1, 0, 0, 0, static_cast<char>(data[0])};
    labels.resize(8 + std::size_t{data[0]}, 9);
    fuzz::write("t10k-labels-idx1-ubyte",
                {reinterpret_cast<const std::uint8_t*>(labels.data()), labels.size()});
    fuzz::write("t10k-images-idx3-ubyte", {data + 1, size - 1});
  } else {
    fuzz::write("t10k-labels-idx1-ubyte", {data, size});
  }
  fuzz::expect_result_or_error([] { mnist(fuzz::scratch_folder(), Split::test); });
  return 0;
}
