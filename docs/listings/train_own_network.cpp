// A network of one's own: built from layers and couplings, trained, judged, written to disk and read again.
// [headers]
#include <retrace/retrace.h>
// [/headers]

#include <filesystem>
#include <iomanip>
#include <iostream>

using namespace retrace;

namespace {

// [network]
/// The F of a coupling, on half of its channels.
std::shared_ptr<Module> branch(std::int64_t channels) {
  return shared(
      Sequential{Conv2d(channels, channels, {.kernel = 3, .padding = 1}), BatchNorm2d(channels), ReLU()});
}

/// Images [N, C, H, W] -> logits [N, classes].
std::shared_ptr<Module> make_network(const Dataset& data, std::int64_t width, int depth) {
  std::vector<std::shared_ptr<InvertibleModule>> blocks;
  for (int i = 0; i < depth; ++i) blocks.push_back(std::make_shared<AdditiveCoupling>(branch(width / 2)));
  auto chain = std::make_shared<InvertibleSequence>(std::move(blocks));
  return std::make_shared<Sequential>(
      Conv2d(data.image_shape()[0], width, {.kernel = 3, .padding = 1}),
      InvertibleModuleWrapper(std::move(chain)),  // keeps the last block's output alone
      AdaptiveAvgPool2d(1), Flatten(), Linear(width, data.classes()));
}
// [/network]

// [accuracy]
double accuracy_on(Loader& loader, Module& network) {
  const NoTape no_tape;
  network.eval();
  loader.start_epoch(0);
  std::int64_t correct = 0;
  while (const std::optional<Batch> batch = loader.next())
    correct += count_correct(network(Var(batch->images)).value(), batch->labels);
  network.train();
  return static_cast<double>(correct) / static_cast<double>(loader.dataset().size());
}
// [/accuracy]

}  // namespace

int main() {
  std::cout << std::fixed << std::setprecision(3);
  // [data]
  const auto train = synthetic({.images = 1000, .shape = {3, 16, 16}});
  const auto test = synthetic({.images = 500, .shape = {3, 16, 16}, .split = Split::test});
  Loader batches(train, {.batch_size = 100, .seed = 1, .augmentation = {.normalise = train->statistics()}});
  Loader test_batches(test, batches.options().for_evaluation());
  // [/data]

  // [train]
  manual_seed(1);
  const auto network = make_network(*train, /*width=*/16, /*depth=*/4);
  SGD optimizer(network->parameters(), {.lr = 0.05, .momentum = 0.9});
  for (std::int64_t epoch = 0; epoch < 6; ++epoch) {
    batches.start_epoch(epoch);
    double loss_of_last = 0;
    while (const std::optional<Batch> batch = batches.next()) {
      optimizer.zero_grad();
      Tape tape;
      const Var loss = cross_entropy((*network)(Var(batch->images)), batch->labels);
      tape.backward(loss);
      optimizer.step();
      loss_of_last = loss.value().item();
    }
    std::cout << "epoch " << epoch << ": loss " << loss_of_last << ", accuracy "
              << accuracy_on(test_batches, *network) << "\n";
  }
  // [/train]

  const std::filesystem::path file = std::filesystem::temp_directory_path() / "own_network.safetensors";
  // [weights]
  save_weights(*network, file, {{"model", "mine"}, {"width", "16"}, {"depth", "4"}});

  const auto again = make_network(*train, 16, 4);
  load_weights(*again, file);
  std::cout << "read again: accuracy " << accuracy_on(test_batches, *again) << "\n";
  // [/weights]
  std::filesystem::remove(file);
  return accuracy_on(test_batches, *again) > 0.9 ? 0 : 1;
}
