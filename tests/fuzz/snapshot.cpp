// Any file as weights for `eval`, and as a checkpoint of a training: nothing larger than the file may be
// built.
#include <retrace/cli/names.h>
#include <retrace/cli/snapshot.h>
#include <retrace/nn/optimizer.h>

#include "fuzz.h"

using namespace retrace;

namespace {

NetworkOptions smallest() {
  NetworkOptions options = network_options("tiny");
  options.channels = {2, 2};
  options.blocks = {1};
  options.in_channels = 1;
  options.classes = 2;
  return options;
}

/// `eval`, without the images.
void load_weights_file(const std::filesystem::path& path) {
  const TensorFile file = load_tensors(path);
  static_cast<void>(cli::normalisation_from(file.metadata));
  ResidualNetwork network(cli::network_from(file).value_or(smallest()));
  cli::load_named(network, file, "");
}

/// `train --resume`.
void load_checkpoint(const std::filesystem::path& path) {
  ResidualNetwork network(smallest());
  SGD optimizer(network.parameters(), {.lr = 0.1, .momentum = 0.9});
  GradScaler scaler({.enabled = true});
  cli::load_snapshot(path, {{"batch", "2"}}, network, optimizer, scaler);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::filesystem::path path = fuzz::write("input.safetensors", {data, size});
  fuzz::expect_result_or_error([&] { load_weights_file(path); });
  fuzz::expect_result_or_error([&] { load_checkpoint(path); });
  return 0;
}
