// Copies to a GPU that the host does not wait for, as the host layer does them.
#include "../support/catch.h"
#include "host/host_layer.h"

#include <retrace/core/allocator.h>
#include <retrace/core/kernels.h>
#include <retrace/cuda/device.h>

#include <algorithm>
#include <memory>

using namespace retrace;

namespace {

constexpr std::int64_t kNumbers = 1000;

/// 1000 floats on the GPU, and where they are staged.
struct Round {
  Device gpu = cuda::device(0);
  Tensor x = Tensor::full({kNumbers}, -1, DType::f32, Tag::data, gpu);
  std::unique_ptr<Staging> staging = allocator(gpu).stage(x.bytes());

  void write(float value) {
    auto* numbers = reinterpret_cast<float*>(staging->data());
    std::fill(numbers, numbers + kNumbers, value);
  }
  void begin() { staging->begin(reinterpret_cast<std::byte*>(x.mutable_data<float>()), x.bytes()); }
  float seen() const { return x.to_vector<float>().back(); }
};

}  // namespace

TEST_CASE("staged bytes are on the GPU behind join, not before", "[cuda][staging]") {
  Round round;
  round.write(3);
  round.begin();
  CHECK(round.seen() == -1);  // a GPU may have copied by now, or not
  round.staging->join();
  CHECK(round.seen() == 3);
}

TEST_CASE("wait returns when staged bytes may be written again", "[cuda][staging]") {
  Round round;
  round.write(3);
  round.begin();
  round.staging->wait();
  round.write(4);
  round.staging->join();
  CHECK(round.seen() == 3);
}

TEST_CASE("a staged copy comes behind what was asked for before it", "[cuda][staging]") {
  Round round;
  for (int i = 0; i < 2; ++i) {
    kernel::fill(round.x, i);
    const std::int64_t before = gpu_host::counts().hasty_copies;
    round.begin();
    CHECK(gpu_host::counts().hasty_copies == before);
    round.staging->join();
  }
}

TEST_CASE("the CPU's ledger counts staged bytes", "[cuda][staging]") {
  const Device gpu = cuda::device(0);
  const Counter counter(Tag::data);
  const std::int64_t before = counter.live();
  {
    const std::unique_ptr<Staging> staging = allocator(gpu).stage(100);
    CHECK(counter.live() > before + 100);
    const std::unique_ptr<Staging> neighbour = allocator(gpu).stage(100);  // in pages of its own
  }
  CHECK(counter.live() == before);
  CHECK(allocator().stage(100) == nullptr);  // the CPU's tensors are written where they are
}
