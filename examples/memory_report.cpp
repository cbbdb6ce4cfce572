// What a step takes, and why: a page with pictures and tables, memory.html.
#include <retrace/retrace.h>

using namespace retrace;

int main() {
  ResidualNetwork network({.channels = {8, 8, 16}, .blocks = {2, 2}});
  network.set_policy(Policy::reversible);
  const Tensor images = Tensor::full({4, 3, 16, 16}, 0.5, DType::f32);
  const Tensor labels = Tensor::from<std::int64_t>({3, 7, 1, 0}, {4});
  // [readme]
  MemoryRecorder recorder;
  Tape tape;
  tape.observe(&recorder);
  tape.backward(cross_entropy(network(Var(images)), labels));
  write_html("memory.html", {.recordings = {recorder.recording("reversible")}});
  // [/readme]
}
