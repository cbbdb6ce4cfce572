#pragma once
// The modules that MemCNN's own tests are made of.
#include <retrace/autograd/ops.h>
#include <retrace/core/kernels.h>
#include <retrace/core/random.h>
#include <retrace/nn/batch_norm.h>
#include <retrace/nn/conv2d.h>
#include <retrace/nn/sequential.h>
#include <retrace/revnet/adapters.h>
#include <retrace/revnet/coupling.h>
#include <retrace/revnet/wrapper.h>

#include <memory>
#include <vector>

#include "compare.h"

namespace retrace::test {

/// A 3x3 convolution that keeps the size.
inline std::shared_ptr<Module> conv3x3(std::int64_t in, std::int64_t out) {
  return std::make_shared<Conv2d>(in, out, Conv2dLayerOptions{.kernel = 3, .padding = 1});
}

/// Batch norm behind a 3x3 convolution.
inline std::shared_ptr<Module> conv_norm(std::int64_t in = 5, std::int64_t out = 5) {
  return std::make_shared<Sequential>(conv3x3(in, out), std::make_shared<BatchNorm2d>(out));
}

/// y = factor x with a learned factor; it can be left out of either direction.
class Factor final : public InvertibleModule {
 public:
  explicit Factor(double factor, bool in_forward = true, bool in_inverse = true)
      : in_forward(in_forward), in_inverse(in_inverse), factor_(Tensor::full({1}, factor, DType::f32)) {}
  Var forward(const Var& x) override { return in_forward ? x * Var(factor_) : x; }
  Var inverse(const Var& y) override { return in_inverse ? y / Var(factor_) : y; }
  void members(Members& m) override { m.parameter("factor", factor_); }

  bool in_forward;
  bool in_inverse;

 private:
  std::shared_ptr<Module> copy() const override { return std::make_shared<Factor>(*this); }
  Parameter factor_;
};

/// x: [N, C, ...] -> its first `first` channels, and the others.
class SplitChannels final : public InvertibleModule {
 public:
  explicit SplitChannels(std::int64_t first) : first_(first) {}
  Vars forward_all(const Vars& x) override {
    return split(x.front(), {first_, x.front().shape()[1] - first_}, 1);
  }
  Vars inverse_all(const Vars& y) override { return {concatenate(y, 1)}; }

 private:
  std::shared_ptr<Module> copy() const override { return std::make_shared<SplitChannels>(*this); }
  std::int64_t first_;
};

/// The couplings of MemCNN's tests, around F for two streams of `half` channels, and a module that is none.
enum class Pair { additive, affine_naive, affine_sigmoid, factor };
inline constexpr Pair kPairs[] = {Pair::additive, Pair::affine_naive, Pair::affine_sigmoid, Pair::factor};

/// With G = nullptr it is a copy of F.
inline std::shared_ptr<InvertibleModule> make_pair_of(Pair pair, const std::shared_ptr<Module>& F,
                                                      const std::shared_ptr<Module>& G = nullptr) {
  switch (pair) {
    case Pair::additive:
      return std::make_shared<AdditiveCoupling>(F, G);
    case Pair::affine_naive:
      return std::make_shared<AffineCoupling>(F, G, adapter<AffineAdapterNaive>());
    case Pair::affine_sigmoid:
      return std::make_shared<AffineCoupling>(F, G, adapter<AffineAdapterSigmoid>());
    case Pair::factor:
      break;
  }
  return std::make_shared<Factor>(2);
}

/// How many channels F returns for streams of `half` channels.
constexpr std::int64_t channels_out(Pair pair, std::int64_t half) {
  return pair == Pair::affine_sigmoid ? 2 * half : half;
}

/// Wrappers around one coupling, one behind the other.
struct Stack {
  Stack(const std::shared_ptr<InvertibleModule>& coupling, int depth, const WrapperOptions& options) {
    for (int i = 0; i < depth; ++i)
      wrappers.push_back(std::make_shared<InvertibleModuleWrapper>(coupling, options));
  }
  Var forward(Var x) const {
    for (const auto& wrapper : wrappers) x = wrapper->forward(x);
    return x;
  }
  Var inverse(Var y) const {
    for (auto wrapper = wrappers.rbegin(); wrapper != wrappers.rend(); ++wrapper) y = (*wrapper)->inverse(y);
    return y;
  }
  std::vector<std::shared_ptr<InvertibleModuleWrapper>> wrappers;
};

/// The numbers now of each parameter, or of its gradient (undefined where there is none).
inline Tensors copies_of_parameters(Module& module) {
  Tensors copies;
  for (const Parameter* p : module.parameters()) copies.push_back(p->value().clone(Tag::data));
  return copies;
}
inline Tensors copies_of_gradients(Module& module) {
  Tensors copies;
  for (const Parameter* p : module.parameters())
    copies.push_back(p->grad().defined() ? p->grad().clone(Tag::data) : Tensor());
  return copies;
}

/// Uniform in [0, 1), a function of the seed.
inline Tensor uniform(const Shape& shape, std::uint64_t seed, DType dtype = DType::f32) {
  Tensor x(shape, dtype);
  kernel::uniform({.seed = seed, .stream = 100}, 0, 1, x);
  return x;
}

}  // namespace retrace::test
