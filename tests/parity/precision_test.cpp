// Mixed precision: F and G in bf16, streams and weights in f32.
#include <retrace/autograd/autocast.h>
#include <retrace/autograd/ops.h>
#include <retrace/core/kernels.h>
#include <retrace/core/memory.h>
#include <retrace/core/random.h>
#include <retrace/nn/activation.h>
#include <retrace/nn/batch_norm.h>
#include <retrace/nn/conv2d.h>
#include <retrace/nn/flatten.h>
#include <retrace/nn/grad_scaler.h>
#include <retrace/nn/linear.h>
#include <retrace/nn/pool.h>
#include <retrace/nn/sequential.h>
#include <retrace/revnet/adapters.h>
#include <retrace/revnet/checkpoint.h>
#include <retrace/revnet/networks.h>
#include <retrace/revnet/wrapper.h>

#include <cmath>
#include <utility>

#include "../support/catch.h"
#include "../support/random_tensor.h"
#include "../support/rounding.h"

using namespace retrace;
using namespace retrace::test;

namespace {

constexpr DType f32 = DType::f32;
constexpr DType bf16 = DType::bf16;
using Precision = std::optional<DType>;

/// Passes x on and notes its type, in forward and in replays.
class Probe final : public Module {
 public:
  struct Seen {
    DType dtype;
    bool replay;
    bool operator==(const Seen&) const = default;
  };
  explicit Probe(std::shared_ptr<std::vector<Seen>> seen) : seen_(std::move(seen)) {}
  Var forward(const Var& x) override {
    seen_->push_back({x.dtype(), Recomputing::active()});
    return x;
  }

 private:
  std::shared_ptr<Module> copy() const override { return std::make_shared<Probe>(*this); }
  std::shared_ptr<std::vector<Seen>> seen_;
};

using Types = std::vector<Probe::Seen>;

std::shared_ptr<Module> conv3x3(std::int64_t in, std::int64_t out) {
  return std::make_shared<Conv2d>(in, out, Conv2dLayerOptions{.kernel = 3, .padding = 1, .bias = false});
}

/// conv, batch norm, relu, conv: ends with a layer that runs in bf16.
std::shared_ptr<Module> branch(const std::shared_ptr<Types>& seen) {
  auto f = std::make_shared<Sequential>();
  const auto probe = [&] { return std::make_shared<Probe>(seen); };
  f->append(probe()).append(conv3x3(8, 8)).append(probe());
  f->append(std::make_shared<BatchNorm2d>(8)).append(std::make_shared<ReLU>()).append(probe());
  f->append(conv3x3(8, 8)).append(probe());
  return f;
}

/// A stem, whose norm makes a stream of all of f32's bits, two wrapped couplings, a linear layer.
struct Network {
  explicit Network(const WrapperOptions& options = {}) {
    manual_seed(3);
    net = std::make_shared<Sequential>();
    net->append(conv3x3(3, 16)).append(std::make_shared<BatchNorm2d>(16));
    for (int block = 0; block < 2; ++block) {
      auto coupling = std::make_shared<AdditiveCoupling>(branch(seen), branch(seen));
      net->append(std::make_shared<InvertibleModuleWrapper>(coupling, options));
    }
    net->append(std::make_shared<AdaptiveAvgPool2d>(1)).append(std::make_shared<Flatten>());
    net->append(std::make_shared<Linear>(16, 4));
  }
  std::shared_ptr<Types> seen = std::make_shared<Types>();
  std::shared_ptr<Sequential> net;
};

struct Data {
  explicit Data(std::int64_t size = 12) : images(random_tensor({8, 3, size, size}, f32, 5)) {}
  Tensor images;
  Tensor labels = Tensor::from<std::int64_t>({0, 1, 2, 3, 0, 1, 2, 3}, {8});
};

struct Step {
  double loss = 0;
  std::vector<Named<Tensor>> gradients{};  // in f32, the scale taken out
  std::vector<Named<Tensor>> state{};      // after the optimizer's step
};

/// One training step with loss scaling.
Step train_step(Module& network, const Data& data, Precision precision, Optimizer& sgd, GradScaler& scaler) {
  sgd.zero_grad();
  Step result;
  Tape tape;
  const Var loss = [&] {
    const Autocast scope(precision);
    const Var logits = network(data.images);
    CHECK(logits.dtype() == precision.value_or(f32));
    return cross_entropy(logits, data.labels);
  }();
  CHECK(loss.dtype() == f32);
  result.loss = loss.value().item();
  tape.backward(scaler.scale(loss));
  scaler.unscale_(sgd);
  for (const auto& [name, parameter] : network.named_parameters()) {
    CHECK(parameter->value().dtype() == f32);
    result.gradients.emplace_back(name, parameter->grad().clone(Tag::data));
  }
  CHECK(scaler.step(sgd));
  scaler.update();
  for (const auto& [name, parameter] : network.named_parameters())
    result.state.emplace_back(name, parameter->value().clone(Tag::data));
  for (const auto& [name, buffer] : network.named_buffers())
    result.state.emplace_back(name, buffer->clone(Tag::data));
  return result;
}

Step train_step(Module& network, const Data& data, Precision precision) {
  SGD sgd(network.parameters(), {.lr = 0.1, .momentum = 0.9});
  GradScaler scaler;
  manual_seed(4);
  return train_step(network, data, precision, sgd, scaler);
}

double norm(const std::vector<double>& x) {
  double sum = 0;
  for (const double v : x) sum += v * v;
  return std::sqrt(sum);
}

/// |a - b| / |b| over all tensors, taken as one vector.
double distance(const std::vector<Named<Tensor>>& a, const std::vector<Named<Tensor>>& b) {
  REQUIRE(a.size() == b.size());
  std::vector<double> difference;
  std::vector<double> whole;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const std::vector<double> x = a[i].second.to_vector<double>();
    const std::vector<double> y = b[i].second.to_vector<double>();
    for (std::size_t k = 0; k < y.size(); ++k) difference.push_back(x[k] - y[k]);
    whole.insert(whole.end(), y.begin(), y.end());
  }
  return norm(difference) / norm(whole);
}

bool same_bits(const std::vector<Named<Tensor>>& a, const std::vector<Named<Tensor>>& b) {
  bool same = a.size() == b.size();
  for (std::size_t i = 0; same && i < a.size(); ++i) same = bit_equal(a[i].second, b[i].second);
  return same;
}

}  // namespace

// MemCNN runs wrapped functions with autocast switched off (torch.cuda.amp.custom_fwd does that where it
// casts inputs), so its F and G are f32 under the wrapper and half precision without; here the wrapper
// changes no type inside of F.
TEST_CASE("[P30] F and G run in bf16, in forward and in the replay; streams and weights are f32", "[P30]") {
  Network network;
  const Data data;
  train_step(*network.net, data, bf16);
  Types expected;  // what a branch sees: its source, behind conv, behind batch norm and relu, its result
  for (const bool replay : {false, true})
    for (int branches = 0; branches < 4; ++branches)
      for (const DType dtype : {f32, bf16, f32, bf16}) expected.push_back({dtype, replay});
  CHECK(*network.seen == expected);

  Network plain({.disable = true});
  train_step(*plain.net, data, bf16);
  CHECK(*plain.seen == Types(expected.begin(), expected.begin() + 16));  // the same, and no replay

  Network single;
  train_step(*single.net, data, std::nullopt);
  for (const Probe::Seen& seen : *single.seen) CHECK(seen.dtype == f32);
}

// The forwards are the same operations in the same order, so the losses are the same bits. A rebuilt stream
// differs from the one of forward by the rounding of a subtraction in f32, about 1e-7. Where such a number
// lies next to the middle between two bf16 numbers, its cast in the replay of F goes the other way than in
// forward, by 2^-8 of it: for one element in 10^4 or 10^5. Such an F gives another gradient than forward's,
// and a block further in front is rebuilt with that difference. So gradients agree as far as bf16 itself is
// away from f32, not to f32's rounding.
TEST_CASE("[P30] a step with the wrapper equals one without, as far as bf16 allows", "[P30]") {
  const Data data(64);
  const auto run = [&](const WrapperOptions& options, Precision precision) {
    return train_step(*Network(options).net, data, precision);
  };
  const Step single = run({.disable = true}, std::nullopt);
  const Step plain = run({.disable = true}, bf16);
  const Step wrapped = run({}, bf16);
  const double own = distance(plain.gradients, single.gradients);
  INFO("bf16 from f32: " << own << ", wrapped from plain: " << distance(wrapped.gradients, plain.gradients));
  CHECK(wrapped.loss == plain.loss);
  CHECK(plain.loss != single.loss);
  CHECK(plain.loss == Approx(single.loss).epsilon(0x1p-8));
  CHECK(own < 0x1p-4);  // of a dozen roundings of 2^-8 each, in front of norms that amplify them
  CHECK(distance(wrapped.gradients, plain.gradients) < own / 10);
  CHECK(distance(wrapped.state, plain.state) < own / 10);

  const Step kept = run({.keep_input = true}, bf16);
  CHECK(same_bits(kept.gradients, plain.gradients));
  CHECK(same_bits(kept.state, plain.state));
}

TEST_CASE("[P30] a residual network's policies agree under Autocast", "[P30]") {
  const Data data;
  const auto run = [&](Policy policy, Precision precision = bf16) {
    manual_seed(3);
    NetworkOptions options = network_options("tiny");
    options.classes = 4;
    ResidualNetwork network(options);
    network.set_policy(policy);
    return train_step(network, data, precision);
  };
  const Step stored = run(Policy::stored);
  const Step checkpointed = run(Policy::checkpoint);
  CHECK(checkpointed.loss == stored.loss);
  CHECK(same_bits(checkpointed.gradients, stored.gradients));
  CHECK(same_bits(checkpointed.state, stored.state));  // running statistics too
  const Step reversed = run(Policy::reversible);
  // A single cast that goes the other way costs as much as one of the many casts that keep bf16 from f32.
  const double own = distance(stored.gradients, run(Policy::stored, std::nullopt).gradients);
  INFO("bf16 from f32: " << own << ", reversed: " << distance(reversed.gradients, stored.gradients));
  CHECK(reversed.loss == stored.loss);
  CHECK(distance(reversed.gradients, stored.gradients) < own);
}

namespace {

/// conv, relu, conv.
std::shared_ptr<Module> small_branch() {
  return std::make_shared<Sequential>(conv3x3(8, 8), std::make_shared<ReLU>(), conv3x3(8, 8));
}

/// Activation bytes of a coupling between forward and backward, for x: [4, 16, 8, 8].
std::int64_t bytes_after_forward(bool disable, Precision precision) {
  InvertibleModuleWrapper wrapper(std::make_shared<AdditiveCoupling>(small_branch(), small_branch()),
                                  {.disable = disable});
  const Autocast scope(precision);
  Tape tape;
  const Var x = tape.watch(random_tensor({4, 16, 8, 8}, f32, 1));
  const std::int64_t before = ledger().live(kStepTags);
  const Var y = wrapper(x);
  CHECK(y.dtype() == f32);
  return ledger().live(kStepTags) - before;
}

}  // namespace

TEST_CASE("[P30] bytes: what F and G save is halved, what the wrapper keeps is the stream", "[P30]") {
  constexpr std::int64_t kHalf = 4 * 8 * 8 * 8;  // elements of a stream
  constexpr std::int64_t kWeights = 8 * 8 * 3 * 3;
  constexpr std::int64_t y = 2 * kHalf * 4;
  constexpr std::int64_t kMask = kHalf / 8;
  // Each of F and G saves the inputs of its two convolutions, and the relu's mask.
  CHECK(bytes_after_forward(true, std::nullopt) == y + 2 * (2 * kHalf * 4 + kMask));
  // In bf16 the inputs take half, and the casts of the weights are saved beside them.
  CHECK(bytes_after_forward(true, bf16) == y + 2 * (2 * kHalf * 2 + kMask + 2 * kWeights * 2));
  CHECK(bytes_after_forward(false, std::nullopt) == y);
  CHECK(bytes_after_forward(false, bf16) == y);
}

TEST_CASE("[P30] an overflow leaves the step out and halves the scale", "[P30]") {
  Network network;
  Data data;
  data.images.mutable_values<float>()[7] = INFINITY;
  SGD sgd(network.net->parameters(), {.lr = 0.1});
  GradScaler scaler;
  const Tensor before = sgd.parameters().front()->value().clone(Tag::data);
  Tape tape;
  const Var loss = [&] {
    const Autocast scope;
    return cross_entropy((*network.net)(data.images), data.labels);
  }();
  tape.backward(scaler.scale(loss));
  CHECK_FALSE(scaler.step(sgd));
  scaler.update();
  CHECK(bit_equal(sgd.parameters().front()->value(), before));
  CHECK(scaler.get_scale() == 32768);
}

TEST_CASE("[P30] a network learns in bf16 as in f32", "[P30]") {
  constexpr int kSteps = 30;
  const Data data;
  const auto curve = [&](const WrapperOptions& options, Precision precision) {
    Network network(options);
    SGD sgd(network.net->parameters(), {.lr = 0.05, .momentum = 0.9});
    GradScaler scaler({.growth_interval = 10});
    std::vector<double> losses;
    for (int s = 0; s < kSteps; ++s)
      losses.push_back(train_step(*network.net, data, precision, sgd, scaler).loss);
    CHECK(scaler.get_scale() == 8 * 65536);
    return losses;
  };
  const std::vector<double> single = curve({.disable = true}, std::nullopt);
  const std::vector<double> plain = curve({.disable = true}, bf16);
  const std::vector<double> wrapped = curve({}, bf16);
  CHECK(single.back() < 0.5 * single.front());
  for (int s = 0; s < kSteps; ++s) {
    const auto i = static_cast<std::size_t>(s);
    INFO("step " << s << ": " << single[i] << " " << plain[i] << " " << wrapped[i]);
    CHECK(std::abs(plain[i] - single[i]) < 0.02 * single.front());
    CHECK(std::abs(wrapped[i] - single[i]) < 0.02 * single.front());
  }
}

namespace {

/// y = factor x, with a learned factor.
class Factor final : public InvertibleModule {
 public:
  Var forward(const Var& x) override { return note(x) * Var(factor_); }
  Var inverse(const Var& y) override { return note(y) / Var(factor_); }
  void members(Members& m) override { m.parameter("factor", factor_); }
  static inline std::vector<DType> seen{};

 private:
  static const Var& note(const Var& x) {
    seen.push_back(x.dtype());
    return x;
  }
  std::shared_ptr<Module> copy() const override { return std::make_shared<Factor>(*this); }
  Parameter factor_{Tensor::full({1}, 1.5, DType::f32)};
};

std::shared_ptr<InvertibleModule> invertible(int kind) {
  manual_seed(3);
  const auto F = conv3x3(2, kind == 2 ? 4 : 2);
  const auto G = conv3x3(2, kind == 2 ? 4 : 2);
  if (kind == 0) return std::make_shared<AdditiveCoupling>(F, G);
  if (kind == 1) return std::make_shared<AffineCoupling>(F, G, adapter<AffineAdapterNaive>());
  if (kind == 2) return std::make_shared<AffineCoupling>(F, G, adapter<AffineAdapterSigmoid>());
  return std::make_shared<Factor>();
}

}  // namespace

TEST_CASE("[P05] under Autocast the wrapper casts its inputs to f32, in both directions", "[P05]") {
  const Tensor numbers = random_tensor({2, 4, 5, 5}, bf16, 1);
  for (int kind = 0; kind < 4; ++kind) {
    for (const bool inverse : {false, true}) {
      INFO("module " << kind << (inverse ? ", inverse" : ", forward"));
      InvertibleModuleWrapper wrapper(invertible(kind));
      Factor::seen.clear();
      Tape tape;
      const Var x = tape.watch(numbers.clone(Tag::activation));
      Var y;
      {
        const Autocast scope;
        y = inverse ? wrapper.inverse(x) : wrapper.forward(x);
      }
      CHECK(y.dtype() == f32);
      CHECK_FALSE(x.value().storage().released());  // the copy in f32 is
      tape.backward(y, random_tensor(y.shape(), f32, 2));
      CHECK(tape.grad(x).dtype() == bf16);
      for (const DType dtype : Factor::seen) CHECK(dtype == f32);
      CHECK(Factor::seen.size() == (kind == 3 ? 3 : 0));

      const Autocast scope;
      const NoTape no_tape;
      const Var z = inverse ? wrapper.inverse(Var(numbers)) : wrapper.forward(Var(numbers));
      CHECK(bit_equal(z.value(), y.value()));
    }
  }
}

TEST_CASE("[P05] gradients through the wrapper are the plain module's, and its inputs come back", "[P05]") {
  for (int kind = 0; kind < 4; ++kind) {
    for (const bool inverse : {false, true}) {
      INFO("module " << kind << (inverse ? ", inverse" : ", forward"));
      const auto run = [&](const WrapperOptions& options) {
        InvertibleModuleWrapper wrapper(invertible(kind), options);
        Tape tape;
        const Autocast scope;
        const Var x = tape.watch(random_tensor({2, 4, 5, 5}, f32, 1));
        const Var y = inverse ? wrapper.inverse(x) : wrapper.forward(x);
        CHECK(x.value().storage().released() == !(options.disable || options.keep_input));
        tape.backward(y, random_tensor(y.shape(), f32, 2));
        const Tensor data = random_tensor({2, 4, 5, 5}, f32, 1);
        CHECK(roundings(x.value(), data) * unit_roundoff(f32) < 2 * unit_roundoff(bf16));
        std::vector<Named<Tensor>> all = {{"x", tape.grad(x)}};
        for (const auto& [name, parameter] : wrapper.named_parameters())
          all.emplace_back(name, parameter->grad());
        return all;
      };
      const auto plain = run({.disable = true});
      CHECK(distance(run({}), plain) < 2 * unit_roundoff(bf16));
      CHECK(same_bits(run({.keep_input = true, .keep_input_inverse = true}), plain));
    }
  }
}

TEST_CASE("[P05] a disabled wrapper casts nothing itself", "[P05]") {
  const auto factor = std::make_shared<Factor>();
  InvertibleModuleWrapper wrapper(factor, {.disable = true});
  Factor::seen.clear();
  const Autocast scope;
  wrapper(Var(random_tensor({2, 4}, bf16, 1)));
  CHECK(Factor::seen == std::vector<DType>{bf16});
}
