// The device, its memory and its errors.
#include "../support/throws.h"
#include "host/host_layer.h"

#include <retrace/autograd/ops.h>
#include <retrace/autograd/tape.h>
#include <retrace/core/fail.h>
#include <retrace/core/kernel.h>
#include <retrace/core/kernels.h>
#include <retrace/core/memory.h>
#include <retrace/cuda/context.h>
#include <retrace/cuda/device.h>
#include <retrace/nn/linear.h>
#include <retrace/nn/optimizer.h>
#include <retrace/nn/safetensors.h>
#include <retrace/nn/weights.h>

#include "../support/temporary_folder.h"

using namespace retrace;
using test::check_throws;

namespace {

class On {
 public:
  explicit On(gpu_host::Machine machine) { gpu_host::set_machine(machine); }
  ~On() { gpu_host::set_machine(gpu_host::Machine::one_gpu); }
};

void nothing(const Tensor&) {}
constinit Kernel<void(const Tensor& x)> on_the_cpu_alone{&nothing};

}  // namespace

TEST_CASE("a device has a name and is found by it", "[cuda]") {
  const Device gpu = cuda::device();
  CHECK(to_string(gpu) == "cuda:0");
  CHECK(to_string(Device::cpu()) == "cpu");
  CHECK(cuda::device_from_name("cuda") == gpu);
  CHECK(cuda::device_from_name("cuda:0") == gpu);
  CHECK(cuda::device_from_name("cpu") == Device::cpu());
  for (const std::string name : {"gpu", "cuda:", "cuda:x", "cuda:0x"})
    check_throws<ArgumentError>([&] { cuda::device_from_name(name); },
                                "[device] the name must be cpu, cuda or cuda:N, got '" + name + "'");
}

TEST_CASE("what is missing for a GPU is said", "[cuda]") {
  check_throws<DeviceError>([] { cuda::device(1); }, "[cuda] the GPU's number must be in [0,1), got 1");
  check_throws<DeviceError>([] { cuda::device(-1); }, "[cuda] the GPU's number must be in [0,1), got -1");
  {
    const On machine(gpu_host::Machine::no_gpu);
    check_throws<DeviceError>([] { cuda::device(); }, "[cuda] the machine must have a GPU, got none");
  }
  const On machine(gpu_host::Machine::no_driver);
  check_throws<DeviceError>(
      [] { cuda::device(); },
      "[cuda] a driver for NVIDIA's GPUs must be installed, got none that is recent enough for CUDA " +
          std::to_string(CUDART_VERSION / 1000));
}

TEST_CASE("a call that fails names itself, its code and its place", "[cuda]") {
  cuda::check(cudaSuccess, "cudaMalloc");
  check_throws<DeviceError>(
      [] {
        cuda::check(cudaErrorInvalidValue, "cudaMalloc", {"folder/file.cu", 7});
      },
      "[cuda] cudaMalloc must succeed, got 1 (an error of the host layer) at file.cu:7");
}

TEST_CASE("a GPU says what it is and what it can do", "[cuda]") {
  const Device gpu = cuda::device();
  const cuda::Properties properties = cuda::properties(gpu);
  CHECK(properties.name == "the host layer");
  CHECK(properties.memory_bytes == std::int64_t{16} << 30);
  CHECK(properties.gflops == Approx(2 * 3 * 128 * 1.5));
  gpu_host::set_capability(80);
  CHECK(cuda::properties(gpu).gflops == Approx(2 * 3 * 64 * 1.5));
  gpu_host::set_capability(86);
  CHECK(cuda::properties(gpu).gflops == Approx(2 * 3 * 128 * 1.5));
  gpu_host::set_capability(90);
  check_throws<DeviceError>([] { cuda::properties(Device::cpu()); },
                            "[cuda] only a GPU has properties, got cpu");
}

TEST_CASE("a GPU's work is timed by events around it", "[cuda]") {
  const Device gpu = cuda::device();
  Tensor x = Tensor::zeros({1000}, DType::f32, Tag::data, gpu);
  const gpu_host::Counts before = gpu_host::counts();
  CHECK(cuda::seconds_of(gpu, [&] { kernel::fill(x, 1); }) > 0);
  CHECK(gpu_host::counts().launches == before.launches + 1);
  CHECK(gpu_host::counts().events == before.events + 2);
  CHECK(cuda::seconds_of(Device::cpu(), [] {}) >= 0);
  CHECK(gpu_host::counts().events == before.events + 2);
}

TEST_CASE("synchronize waits for a GPU, and has nothing to wait for on the CPU", "[cuda]") {
  const std::int64_t before = gpu_host::counts().waits;
  cuda::synchronize(cuda::device());
  CHECK(gpu_host::counts().waits == before + 1);
  cuda::synchronize(Device::cpu());
  CHECK(gpu_host::counts().waits == before + 1);
}

TEST_CASE("tensors go to a GPU and come back", "[cuda]") {
  const Device gpu = cuda::device();
  const Tensor x = Tensor::from<float>({1, -2, 3.5, 0}, {2, 2});
  const Tensor there = x.to(gpu, Tag::data);
  CHECK(there.device() == gpu);
  CHECK(there.to_vector<float>() == x.to_vector<float>());
  CHECK(there.to(Device::cpu(), Tag::data).to_vector<float>() == x.to_vector<float>());
  CHECK(there.clone(Tag::data).to_vector<double>() == x.to_vector<double>());
  CHECK(there.slice(1, 2).to_vector<float>() == std::vector<float>{3.5, 0});
  CHECK(there.to(DType::f64, Tag::data).to_vector<double>() == x.to_vector<double>());
  CHECK(there.to(DType::i64, Tag::data).to_vector<double>() == std::vector<double>{1, -2, 3, 0});
  CHECK(Tensor::full({3}, 2.5, DType::bf16, Tag::data, gpu).to_vector<double>() ==
        std::vector<double>{2.5, 2.5, 2.5});
  CHECK(to_string(there.slice(0, 1)) == "tensor([[1, -2]], f32, cuda:0)");
  CHECK(Tensor::zeros({}, DType::i64, Tag::data, gpu).item() == 0);
  check_throws<DeviceError>(
      [&] { there.values<float>(); },
      "[tensor] elements that the program reads must be on the CPU, got cuda:0; Tensor::to copies them");
}

TEST_CASE("an operation has its tensors on one device, which it knows", "[cuda]") {
  const Tensor x = Tensor::zeros({2}, DType::f32);
  const Tensor there = x.to(cuda::device(), Tag::data);
  Tensor y = like(there);
  check_throws<DeviceError>(
      [&] { kernel::add(there, x, y); },
      "[kernel] the tensors of one operation must be on one device, got cuda:0 and cpu");
  const OpName op("strange");
  check_throws<NotImplementedError>([&] { on_the_cpu_alone(there); },
                                    "[kernel] the operation must be one that runs on cuda:0, got strange");
}

TEST_CASE("backward starts from gradients that are where their values are", "[cuda]") {
  Tape tape;
  const Var x = tape.watch(Tensor::full({2}, 3, DType::f32, Tag::data, cuda::device()));
  const Var y = x * x;
  check_throws<DeviceError>([&] { tape.backward(y, Tensor::full({2}, 1, DType::f32), {.retain = true}); },
                            "[backward] dy must be on y's device cuda:0, got cpu");
}

TEST_CASE("the ledger counts a GPU's bytes as the CPU's, apart", "[cuda][memory]") {
  const Device gpu = cuda::device();
  const Counter on_gpu(TagSet::all(), /*remember=*/true, gpu);
  const Counter on_cpu;
  const std::int64_t before = on_gpu.live();
  {
    const Tensor x({1000}, DType::f32, Tag::activation, gpu);
    CHECK(on_gpu.live() - before == 4032);
    CHECK(on_gpu.alive_at_peak().front().bytes >= 4032);
    CHECK(on_cpu.total() == 0);
  }
  CHECK(on_gpu.live() == before);
  ledger(gpu).set_budget(ledger(gpu).live() + 1000);
  CHECK_THROWS_AS(Tensor({1000}, DType::f32, Tag::activation, gpu), OutOfMemoryError);
  ledger(gpu).set_budget(0);
}

TEST_CASE("a module and its optimizer live on a GPU, and are saved and loaded", "[cuda]") {
  const Device gpu = cuda::device();
  Linear there(3, 2);
  Linear here(3, 2);
  load_state_dict(here, state_dict(there));
  there.to(gpu);
  for (const auto& [name, tensor] : state_dict(there)) CHECK(tensor.device() == gpu);
  for (Linear* linear : {&there, &here}) {
    Adam adam(linear->parameters(), {.lr = 0.1});
    for (Parameter* parameter : linear->parameters()) {
      const Device device = parameter->value().device();
      parameter->accumulate_grad(Tensor::full(parameter->shape(), 0.5, DType::f32, Tag::gradient, device));
    }
    adam.step();
    const auto state = adam.state();
    CHECK(state.back().second.device() == linear->parameters().front()->value().device());
    adam.load_state(state);
  }
  const test::TemporaryFolder folder;
  save_tensors(folder.path() / "there.safetensors", state_dict(there));
  Linear read(3, 2);
  load_state_dict(read, load_tensors(folder.path() / "there.safetensors").tensors);
  Linear back(3, 2);
  back.to(gpu);
  load_state_dict(back, state_dict(read));
  for (std::size_t i = 0; i < 2; ++i) {
    const auto expected = here.parameters()[i]->value().to_vector<double>();
    CHECK(read.parameters()[i]->value().to_vector<double>() == expected);
    CHECK(back.parameters()[i]->value().to_vector<double>() == expected);
  }
}
