// Exact bytes of one's own network: after forward, at the peak, what they are, and a limit on them.
#include <retrace/retrace.h>

#include <iostream>

using namespace retrace;

namespace {

// [chain]
constexpr std::int64_t kWidth = 32;
constexpr std::int64_t kBatch = 64;

/// Eight couplings of a small layer each.
std::shared_ptr<InvertibleModule> make_chain() {
  std::vector<std::shared_ptr<InvertibleModule>> blocks;
  for (int i = 0; i < 8; ++i)
    blocks.push_back(std::make_shared<AdditiveCoupling>(
        std::make_shared<Sequential>(std::make_shared<Linear>(kWidth, kWidth), std::make_shared<Tanh>())));
  return std::make_shared<InvertibleSequence>(std::move(blocks));
}
// [/chain]

// [step]
/// Bytes of one training step, without its update.
void measure(const std::string& name, Module& network) {
  const Tensor x = Tensor::full({kBatch, 2 * kWidth}, 0.5, DType::f32);  // Tag::data: not counted
  Counter counter(kStepTags, /*remember=*/true);
  Tape tape;
  const Var loss = mean(network(tape.watch(x)));
  const std::int64_t after_forward = counter.live();
  tape.backward(loss);
  std::cout << name << ": " << after_forward << " bytes after forward, " << counter.peak()
            << " at the peak\n";
  std::cout << table_of(counter.alive_at_peak(), /*most_rows=*/4) << "\n";
}
// [/step]

}  // namespace

int main() {
  // [compare]
  manual_seed(1);
  const std::shared_ptr<InvertibleModule> chain = make_chain();
  measure("stored", *chain);
  InvertibleModuleWrapper wrapped(chain);
  measure("reversible", wrapped);
  // [/compare]

  // [budget]
  ledger().set_budget(ledger().live() + 100'000);
  try {
    measure("stored, in 100 kB", *chain);
  } catch (const OutOfMemoryError& error) {
    const std::string text = error.what();
    std::cout << text.substr(0, text.find('\n')) << "\n";
  }
  measure("reversible, in 100 kB", wrapped);
  // [/budget]
}
