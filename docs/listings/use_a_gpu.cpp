// A training step on a GPU where there is one, else on the CPU.
#include <retrace/cuda/device.h>
#include <retrace/retrace.h>

#include <iostream>

using namespace retrace;

namespace {

// [device]
/// The first GPU, or the CPU when there is none.
Device best_device() {
  try {
    return cuda::device(0);  // installs the kernels for GPUs
  } catch (const DeviceError& error) {
    std::cout << error.what() << "\n";
    return Device::cpu();
  }
}
// [/device]

}  // namespace

int main() {
  const auto data = synthetic({.images = 100, .shape = {3, 16, 16}});
  // [step]
  const Device device = best_device();
  ResidualNetwork network(network_options("tiny"));
  network.set_policy(Policy::reversible);
  network.to(device);  // before the optimizer: its state is made where the parameters are
  SGD optimizer(network.parameters(), {.lr = 0.1});
  Loader loader(data, {.batch_size = 50, .device = device});  // copies a batch while the GPU is at work
  loader.start_epoch(0);
  while (const std::optional<Batch> batch = loader.next()) {
    Tape tape;
    const Var loss = cross_entropy(network(Var(batch->images)), batch->labels);
    optimizer.zero_grad();
    tape.backward(loss);
    optimizer.step();
  }
  std::cout << "on " << device << ": " << ledger(device).live(Tag::parameter) << " bytes of parameters\n";
  // [/step]
  const Tensor images = Tensor::full({4, 3, 16, 16}, 0.5, DType::f32, Tag::data, device);
  const Tensor labels = Tensor::zeros({4}, DType::i64, Tag::data, device);
  optimizer.zero_grad();
  // [f16]
  GradScaler scaler;
  Tape tape;
  const Autocast f16(DType::f16);
  const Var loss = cross_entropy(network(Var(images)), labels);
  tape.backward(scaler.scale(loss));
  scaler.step(optimizer);  // leaves a step out whose gradients are infinite
  scaler.update();
  // [/f16]
  std::cout << "loss in f16: " << loss.value() << "\n";
}
