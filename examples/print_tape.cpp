// What a tape holds after forward, stored and reversible, and how memory falls while backward eats it.
#include <retrace/retrace.h>

#include <iostream>

using namespace retrace;

namespace {

/// Prints a line for each derivative that has run.
class Watch final : public TapeObserver {
 public:
  void on(const TapeEvent& event) override {
    if (event.kind != TapeEvent::Kind::done) return;
    std::cout << std::string(2 + 2 * static_cast<std::size_t>(event.depth), ' ') << event.op << " of "
              << path_of(event.scope) << " done, live " << event.live_bytes << " bytes\n";
  }
};

void step(Policy policy) {
  std::cout << "\npolicy " << name_of(policy) << "\n";
  manual_seed(1);
  ResidualNetwork network({.channels = {4, 4, 8}, .blocks = {2, 2}});
  network.set_policy(policy);
  Watch watch;
  Tape tape;
  tape.observe(&watch);
  const Tensor images = Tensor::full({2, 3, 8, 8}, 0.5, DType::f32);
  const Var loss = cross_entropy(network(Var(images)), Tensor::from<std::int64_t>({3, 7}, {2}));
  tape.print(std::cout);
  tape.backward(loss);
}

}  // namespace

int main() {
  step(Policy::stored);
  step(Policy::reversible);
}
