#include <retrace/revnet/sequence.h>

#include "../support/catch.h"
#include "../support/heap.h"
#include "modules.h"

using namespace retrace;
using namespace retrace::test;

namespace {

constexpr TagSet kNotState =
    TagSet::all() - (Tag::parameter | Tag::parameter_gradient | Tag::optimizer | Tag::buffer);

struct Bytes {
  std::int64_t after_forward = 0;
  std::int64_t peak = 0;
  std::int64_t peak_of_all = 0;  // every tag but those of the model's state
  std::int64_t heap = 0;         // what the process's heap gained at its most, beyond the ledger's blocks

  bool operator==(const Bytes& other) const {
    return after_forward == other.after_forward && peak == other.peak && peak_of_all == other.peak_of_all;
  }
};

enum class How { stored, checkpointed, reversed };

Bytes measure_step(const std::shared_ptr<InvertibleSequence>& sequence, const Tensor& batch, How how) {
  sequence->zero_grad();
  const Counter step(kStepTags);
  const Counter all(kNotState);
  HeapWatch heap;
  Bytes bytes;
  {
    Tape tape;
    tape.observe(&heap);
    const Var x = tanh(tape.watch(batch));
    Var y = x;
    if (how == How::stored) y = sequence->forward(x);
    if (how == How::reversed) y = InvertibleModuleWrapper(sequence)(x);
    if (how == How::checkpointed) y = sequence->forward_checkpointed(x);
    bytes.after_forward = step.live();
    tape.backward(sum(y));
  }
  bytes.peak = step.peak();
  bytes.peak_of_all = all.peak();
  bytes.heap = heap.gain();
  return bytes;
}

std::shared_ptr<InvertibleSequence> couplings(int depth) {
  std::vector<std::shared_ptr<InvertibleModule>> blocks;
  for (int i = 0; i < depth; ++i)
    blocks.push_back(
        std::make_shared<AdditiveCoupling>(std::make_shared<Layer>(32, 32), std::make_shared<Layer>(32, 32)));
  return std::make_shared<InvertibleSequence>(std::move(blocks));
}

}  // namespace

TEST_CASE("activation bytes do not depend on the depth of a reversible network, to the byte", "[memory]") {
  const Tensor batch = uniform({16, 64}, 1);
  Bytes first;
  std::int64_t heap_at_first = 0;
  for (const int depth : {1, 2, 3, 4, 8, 16, 32, 64, 128, 256}) {
    const auto sequence = couplings(depth);
    const Bytes cold = measure_step(sequence, batch, How::reversed);
    const Bytes warm = measure_step(sequence, batch, How::reversed);
    if (depth == 1) {
      first = cold;
      heap_at_first = warm.heap;
    }
    INFO("depth " << depth << ", heap " << warm.heap);
    CHECK(cold == first);  // the first step included
    CHECK(warm == first);
    if (depth > 1 && kHeapIsPlain) CHECK(warm.heap - heap_at_first < (depth - 1) * kHeapABlock);
  }
  CHECK(first.after_forward > 0);
}

TEST_CASE("activation bytes of stored and checkpointed runs grow by the same for each block", "[memory]") {
  const Tensor batch = uniform({16, 64}, 1);
  for (const How how : {How::stored, How::checkpointed}) {
    std::vector<Bytes> bytes;
    for (const int depth : {2, 3, 4, 5}) bytes.push_back(measure_step(couplings(depth), batch, how));
    const std::int64_t a_block = bytes[1].after_forward - bytes[0].after_forward;
    CHECK(a_block >= 16 * 64 * 8);
    for (std::size_t i = 1; i < bytes.size(); ++i) {
      CHECK(bytes[i].after_forward - bytes[i - 1].after_forward == a_block);
      CHECK(bytes[i].peak - bytes[i - 1].peak == a_block);
    }
  }
}

TEST_CASE("everything is freed after a step", "[memory]") {
  const Tensor batch = uniform({16, 64}, 1);
  const auto sequence = couplings(3);
  for (const How how : {How::stored, How::checkpointed, How::reversed}) {
    const std::int64_t before = ledger().live(kNotState);
    measure_step(sequence, batch, how);
    CHECK(ledger().live(kNotState) == before);
  }
}
