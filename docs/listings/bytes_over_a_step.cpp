// The numbers of the picture in docs/design/memory.md: a line for each policy, with the events of the forward
// (allocations and their ends), then the bytes that are alive after each event of the step.
#include <retrace/retrace.h>
#include <retrace/revnet/stage.h>

#include <iostream>

using namespace retrace;

namespace {

constexpr std::int64_t kWidth = 32;  // of a stream
constexpr std::int64_t kBatch = 64;
constexpr int kBlocks = 8;

Stage make_stage() {
  std::vector<std::shared_ptr<InvertibleModule>> blocks;
  for (int i = 0; i < kBlocks; ++i)
    blocks.push_back(std::make_shared<AdditiveCoupling>(
        std::make_shared<Sequential>(std::make_shared<Linear>(kWidth, kWidth), std::make_shared<Tanh>())));
  return Stage({}, std::move(blocks));
}

void print_bytes(Stage& stage, Policy policy) {
  stage.set_policy(policy);
  const Tensor x = Tensor::full({kBatch, 2 * kWidth}, 0.5, DType::f32);
  const Counter counter(kStepTags, /*remember=*/true);
  Tape tape;
  const Var loss = mean(stage(tape.watch(x)));
  std::cout << name_of(policy) << " " << counter.events().size();
  tape.backward(loss);
  std::int64_t alive = 0;
  for (const Counter::Event& event : counter.events()) {
    alive += event.alive ? event.record.bytes : -event.record.bytes;
    std::cout << " " << alive;
  }
  std::cout << "\n";
}

}  // namespace

int main() {
  manual_seed(1);
  Stage stage = make_stage();
  for (const Policy policy : {Policy::stored, Policy::checkpoint, Policy::reversible}) {
    print_bytes(stage, policy);
    stage.zero_grad();
  }
}
