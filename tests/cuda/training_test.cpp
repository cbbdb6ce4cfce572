// Networks that train on a GPU, or on its kernels as the host layer runs them, beside the same ones on the
// CPU.
#include "../support/catch.h"
#include "../support/op_case.h"
#include "../support/random_tensor.h"
#include "../support/rounding.h"
#include "gpu.h"

#include <retrace/autograd/autocast.h>
#include <retrace/autograd/ops.h>
#include <retrace/autograd/tape.h>
#include <retrace/core/memory.h>
#include <retrace/core/random.h>
#include <retrace/nn/clip_grad.h>
#include <retrace/nn/grad_scaler.h>
#include <retrace/nn/optimizer.h>
#include <retrace/nn/weights.h>
#include <retrace/revnet/networks.h>

#include <cmath>

using namespace retrace;
using namespace retrace::test;

namespace {

constexpr int kSteps = 10;
constexpr std::int64_t kBatch = 4;
/// Several roundings in a row, each as large as the noise that is measured.
constexpr double kMargin = 10;
constexpr TagSet kCounted = Tag::activation | Tag::saved | Tag::gradient;

/// revnet38, narrower.
NetworkOptions small_revnet38() {
  NetworkOptions options = network_options("revnet38");
  options.channels = {8, 8, 16, 28};
  options.dropout = 0.1;
  return options;
}

struct Run {
  std::vector<double> losses;
  std::int64_t after_forward = 0;  // of the last step, as what follows
  std::int64_t peak = 0;
  std::int64_t workspace = 0;
  std::vector<Named<Tensor>> state;
};

/// Images to train on, the same for each step and seed, moved by noise of this size.
Tensor images_of(std::uint64_t step, DType dtype, double noise, Device device) {
  Tensor x = random_tensor({kBatch, 3, 8, 8}, DType::f64, 10 + step);
  const Tensor moves = random_tensor(x.shape(), DType::f64, 1000 + step);
  for (std::int64_t i = 0; i < x.numel(); ++i) x.mutable_data<double>()[i] += noise * moves.data<double>()[i];
  return x.to(dtype, Tag::data).to(device, Tag::data);
}

Run train(Device device, Policy policy, double noise = 0) {
  manual_seed(3);
  ResidualNetwork network(small_revnet38());
  network.to(DType::f64);
  network.to(device);
  network.set_policy(policy);
  SGD optimizer(network.parameters(), {.lr = 0.05, .momentum = 0.9, .weight_decay = 2e-4});
  Run run;
  for (int step = 0; step < kSteps; ++step) {
    const Tensor images = images_of(static_cast<std::uint64_t>(step), DType::f64, noise, device);
    const Tensor labels =
        Tensor::from<std::int64_t>({step % 10, 1, 2, 9 - step}, {kBatch}).to(device, Tag::data);
    const Counter counted(kCounted, /*remember=*/false, device);
    const Counter workspace(Tag::workspace, /*remember=*/false, device);
    Tape tape;
    const Var loss = cross_entropy(network(images), labels);
    run.after_forward = counted.live();
    run.losses.push_back(loss.value().item());
    tape.backward(loss);
    optimizer.step();
    optimizer.zero_grad();
    run.peak = counted.peak();
    run.workspace = workspace.peak();
  }
  for (const auto& [name, tensor] : state_dict(network))
    run.state.emplace_back(name, tensor.to(Device::cpu(), Tag::data));
  return run;
}

struct Scaled {
  std::vector<double> losses;
  std::vector<double> scales;
};

/// Mixed precision. The gradients of the first step are infinite, so it has to be left out.
Scaled train_scaled(Device device, double noise = 0) {
  manual_seed(3);
  ResidualNetwork network(small_revnet38());
  network.to(device);
  network.set_policy(Policy::reversible);
  AdamW optimizer(network.parameters(), {.lr = 1e-3});
  GradScaler scaler({.init_scale = 3e38, .backoff_factor = 1e-30});
  Scaled run;
  for (std::uint64_t step = 0; step < 5; ++step) {
    const Tensor images = images_of(step, DType::f32, noise, device);
    const Tensor labels = Tensor::from<std::int64_t>({0, 1, 2, 3}, {kBatch}).to(device, Tag::data);
    Tape tape;
    const Autocast bf16;
    const Var loss = cross_entropy(network(images), labels);
    run.losses.push_back(loss.value().item());
    const Var scaled = scaler.scale(loss);
    tape.backward(step == 0 ? scaled * 100.0 : scaled);
    scaler.unscale_(optimizer);
    clip_grad_norm(network.parameters(), 1);
    scaler.step(optimizer);
    scaler.update();
    optimizer.zero_grad();
    run.scales.push_back(scaler.get_scale());
  }
  return run;
}

}  // namespace

TEST_CASE("losses are scaled and gradients clipped on a GPU as on the CPU", "[cuda][training]") {
  const std::optional<Device> found = gpu_or_skip();
  if (!found) return;
  const Scaled cpu = train_scaled(Device::cpu());
  const Scaled gpu = train_scaled(*found);
  CHECK(gpu.scales == cpu.scales);
  CHECK(cpu.scales.front() < 1e9);  // an overflow
  // Noise of one rounding of the images to bf16 stands for those of the layers.
  const Scaled moved = train_scaled(Device::cpu(), 2 * unit_roundoff(DType::bf16));
  CHECK(distance(gpu.losses, cpu.losses) <= kMargin * distance(moved.losses, cpu.losses));
}

TEST_CASE("a network trains on the GPU's kernels as on the CPU, in the same bytes", "[cuda][training]") {
  const Policy policy =
      GENERATE(Policy::stored, Policy::checkpoint, Policy::reversible, Policy::reversible_masks);
  const std::optional<Device> found = gpu_or_skip();
  if (!found) return;
  const Run cpu = train(Device::cpu(), policy);
  // Noise of 1000 roundings stands for those of a sum of 1000 terms, more than any layer here adds.
  const Run moved = train(Device::cpu(), policy, 1000 * unit_roundoff(DType::f64));
  const double tolerance = kMargin * distance(moved.losses, cpu.losses);
  CHECK(tolerance < 1e-6);  // or it would hide an error
  for (const gpu_host::Order order : thread_orders()) {
    gpu_host::set_order(order);
    const Run gpu = train(*found, policy);
    REQUIRE(gpu.losses.size() == kSteps);
    for (std::size_t step = 0; step < kSteps; ++step) {
      INFO("step " << step);
      CHECK(std::abs(gpu.losses[step] - cpu.losses[step]) <= tolerance);
    }
    CHECK(gpu.losses.back() != gpu.losses.front());
    for (std::size_t i = 0; i < cpu.state.size(); ++i) {
      INFO(cpu.state[i].first);
      // not relative: a bias in front of a batch norm has no gradient but rounding
      CHECK(distance(gpu.state[i].second.to_vector<double>(), cpu.state[i].second.to_vector<double>()) <=
            tolerance);
    }
    CHECK(gpu.after_forward == cpu.after_forward);
    CHECK(gpu.peak == cpu.peak);
    CHECK(gpu.workspace > 0);
  }
}
