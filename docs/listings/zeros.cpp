// Chapter 5: zeros behind a ReLU come back on either side of zero, and what that does to a derivative that
// asks for their sign. Every number is rounded once, so that all machines print the same.
#include <retrace/retrace.h>

#include <algorithm>
#include <cmath>
#include <cstdio>

using namespace retrace;

namespace {

// [relu]
/// A ReLU that keeps its value, and asks it for a decision on the way back. Right when everything is stored.
Var relu_by_value(const Var& x) {
  Tensor y = like(x.value());
  for (std::int64_t i = 0; i < y.numel(); ++i)
    y.mutable_data<float>()[i] = std::max(x.value().data<float>()[i], 0.0F);
  return record("relu_by_value", {x}, y, /*save=*/{y},
                [](const Tensor& dy, Saved saved, const Wants&) -> Tensors {
                  Tensor dx = like(dy, Tag::gradient);
                  for (std::int64_t i = 0; i < dy.numel(); ++i)
                    dx.mutable_data<float>()[i] = saved[0].data<float>()[i] > 0 ? dy.data<float>()[i] : 0;
                  return {dx};
                });
}
// [/relu]

/// F(v) = w v, with a weight for each channel. v: [N, C].
class ScaleBy final : public Module {
 public:
  explicit ScaleBy(std::int64_t channels) {
    Tensor w({channels}, DType::f32);
    init::uniform(w, -1, 1);
    w_ = Parameter(w);
  }
  Var forward(const Var& v) override { return v * Var(w_); }
  void members(Members& m) override { m.parameter("w", w_); }

 private:
  std::shared_ptr<Module> copy() const override { return std::make_shared<ScaleBy>(*this); }
  Parameter w_;
};

// [step]
struct Step {
  std::vector<float> behind;  // what the ReLU's output is after backward
  std::vector<float> dz;
};

/// L = |couplings(ReLU(z))|^2 / 2, wrapped or stored.
Step step(Var (*relu_of)(const Var&), bool wrapped, const Tensor& z,
          const std::shared_ptr<InvertibleSequence>& couplings) {
  Tape tape;
  const Var leaf = tape.watch(z);
  const Var x = relu_of(leaf);
  InvertibleModuleWrapper wrapper(couplings, {.disable = !wrapped});
  const Var y = wrapper(x);
  tape.backward(sum(square(y)) * 0.5);
  return {x.value().to_vector<float>(), tape.grad(leaf).to_vector<float>()};
}
// [/step]

/// How many gradients are wrong by more than rounding.
long wrong(const std::vector<float>& dz, const std::vector<float>& truth) {
  long count = 0;
  for (std::size_t i = 0; i < dz.size(); ++i) count += std::abs(dz[i] - truth[i]) > 1e-5F ? 1 : 0;
  return count;
}

}  // namespace

int main() {
  manual_seed(1);
  Tensor z({64, 64}, DType::f32);
  init::uniform(z, -1, 1);
  std::vector<std::shared_ptr<InvertibleModule>> blocks;
  for (int b = 0; b < 8; ++b)
    blocks.push_back(
        std::make_shared<AdditiveCoupling>(std::make_shared<ScaleBy>(32), std::make_shared<ScaleBy>(32)));
  const auto couplings = std::make_shared<InvertibleSequence>(blocks);

  const Step stored = step(relu_by_value, false, z, couplings);
  const Step by_value = step(relu_by_value, true, z, couplings);
  const Step by_mask = step(relu, true, z, couplings);

  long zeros = 0;
  long above = 0;
  long below = 0;
  for (std::size_t i = 0; i < stored.behind.size(); ++i) {
    if (stored.behind[i] != 0) continue;
    ++zeros;
    above += by_value.behind[i] > 0 ? 1 : 0;
    below += by_value.behind[i] < 0 ? 1 : 0;
  }
  std::printf("of %zu numbers behind the ReLU %ld are 0\n", stored.behind.size(), zeros);
  std::printf("rebuilt, %ld of these are 0, %ld above it, %ld below it\n", zeros - above - below, above,
              below);
  std::printf("wrong gradients with a ReLU that asks the value: %ld\n", wrong(by_value.dz, stored.dz));
  std::printf("wrong gradients with the library's ReLU:         %ld\n", wrong(by_mask.dz, stored.dz));
  return wrong(by_mask.dz, stored.dz) == 0 ? 0 : 1;
}
