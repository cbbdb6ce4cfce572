// Replays: a hook owns everything that decides which random numbers the forward drew.
#include <retrace/autograd/gradient_check.h>
#include <retrace/autograd/ops.h>
#include <retrace/nn/activation.h>
#include <retrace/nn/sequential.h>
#include <retrace/revnet/checkpoint.h>
#include <retrace/revnet/combinators.h>
#include <retrace/revnet/networks.h>

#include <functional>
#include <thread>

#include "../support/catch.h"
#include "../support/random_tensor.h"
#include "modules.h"

using namespace retrace;
using namespace retrace::test;

namespace {

const Shape kShape{3, 4};

std::shared_ptr<Module> with_dropout(std::int64_t in = 2, std::int64_t out = 2) {
  auto linear = std::make_shared<Linear>(in, out);
  linear->to(DType::f64);
  return std::make_shared<Sequential>(linear, std::make_shared<Dropout>(0.5), std::make_shared<Tanh>());
}

using Function = std::function<Var(const Var&)>;

/// One step from a given seed: dx, then the gradients of the module's parameters. `between` runs between
/// forward and backward.
Tensors step(Module& module, const Function& forward, const std::function<void()>& between = nullptr) {
  manual_seed(7);
  module.zero_grad();
  Tape tape;
  const Tensor data = uniform(kShape, 1);
  const Var x = tape.watch(data.clone(Tag::data));
  const Var y = forward(x * 1.0);  // an input that may be released
  if (between) between();
  tape.backward(mse_loss(y, uniform(y.shape(), 2)));
  Tensors all{tape.grad(x).clone(Tag::data)};
  for (const Parameter* p : module.parameters()) all.push_back(p->grad().clone(Tag::data));
  return all;
}

double error(const Tensors& a, const Tensors& b) {
  REQUIRE(a.size() == b.size());
  double worst = 0;
  for (std::size_t i = 0; i < a.size(); ++i) worst = std::max(worst, roundings(a[i], b[i]));
  return worst;
}

/// Ways to run an invertible module in which its activations come back, each against the recorded run.
struct Way {
  const char* name;
  std::function<Var(const std::shared_ptr<InvertibleModule>&, const Var&)> run;
};
const Way kWays[] = {
    {"wrapper", [](const auto& m, const Var& x) { return InvertibleModuleWrapper(m)(x); }},
    {"wrapper, input kept",
     [](const auto& m, const Var& x) { return InvertibleModuleWrapper(m, {.keep_input = true})(x); }},
    {"wrapper of the inverse",
     [](const auto& m, const Var& x) {
       return InvertibleModuleWrapper(std::make_shared<Inverse>(m)).inverse(x);
     }},
    {"checkpoint", [](const auto& m, const Var& x) { return checkpoint(m, x); }},
    {"sequence",
     [](const auto& m, const Var& x) {
       return InvertibleModuleWrapper(
           std::make_shared<InvertibleSequence>(std::vector<std::shared_ptr<InvertibleModule>>{m}))(x);
     }},
};

void check_every_way(const std::shared_ptr<InvertibleModule>& module,
                     const std::function<void()>& between = {}) {
  for (const Way& way : kWays) {
    CAPTURE(way.name);
    // Scopes around the module decide which numbers it draws: compare with a run in the same ones.
    const auto plain = [&](const Var& x) {
      if (way.name == std::string("sequence"))
        return InvertibleSequence(std::vector<std::shared_ptr<InvertibleModule>>{module})(x);
      return (*module)(x);
    };
    const Tensors expected = step(*module, plain, between);
    CHECK(error(step(
                    *module, [&](const Var& x) { return way.run(module, x); }, between),
                expected) <= kRebuilt);
  }
}

}  // namespace

TEST_CASE("one module may be both F and G", "[replay]") {
  const auto m = with_dropout();
  check_every_way(std::make_shared<AdditiveCoupling>(m, m));
  const auto pair = with_dropout(2, 4);
  check_every_way(std::make_shared<AffineCoupling>(pair, pair, adapter<AffineAdapterSigmoid>()));
  for (const int implementation : {0, 1}) {
    const auto coupling = std::make_shared<AdditiveCoupling>(
        m, m, CouplingOptions{.implementation_fwd = implementation, .implementation_bwd = implementation});
    const Tensors expected = step(*m, [&](const Var& x) { return AdditiveCoupling(m, m)(x); });
    CHECK(error(step(*m, [&](const Var& x) { return (*coupling)(x); }), expected) <= kRebuilt);
  }
}

TEST_CASE("a replay brings back what a wrapper in it has released, even if no gradient reaches the wrapper",
          "[replay]") {
  const auto wrapper = std::make_shared<InvertibleModuleWrapper>(std::make_shared<Scaling>(3));
  const auto streams = std::make_shared<Parallel>(
      std::vector<std::shared_ptr<InvertibleModule>>{wrapper, std::make_shared<Identity>()});
  const Tensor data = uniform(kShape, 1);
  const Tensor dy = uniform(kShape, 2);
  const auto gradient = [&](bool beside_checkpoint) {
    Tape tape;
    const Var x = tape.watch(data.clone(Tag::data));
    const Var y = tanh(x);  // tanh keeps y, the checkpoint's input
    Vars roots{y};
    if (beside_checkpoint) roots.push_back(checkpoint(streams, {y, Var(uniform(kShape, 3))})[1]);
    tape.backward(roots, Tensors(roots.size(), dy));
    return tape.grad(x).clone(Tag::data);
  };
  CHECK(error({gradient(true)}, {gradient(false)}) <= kRebuilt);
}

TEST_CASE("the gradients of a coupling whose F is its G are those of finite differences", "[replay]") {
  const auto m = with_dropout();
  InvertibleModuleWrapper wrapper(std::make_shared<AdditiveCoupling>(m, m));
  const GradientCheck check = check_gradient(
      [&](const Vars& x) {
        manual_seed(7);
        const Scope fresh("fresh");  // the same random numbers in each evaluation
        return wrapper(x.front() * 1.0);
      },
      {uniform(kShape, 1)}, {.parameters = m->parameters()});
  CHECK(check);
  CAPTURE(check.report);
}

TEST_CASE("one module may be F of one wrapper and G of another", "[replay]") {
  const auto m = with_dropout();
  const auto other = with_dropout();
  const auto first = std::make_shared<AdditiveCoupling>(m, other);
  const auto second = std::make_shared<AdditiveCoupling>(other, m);
  Sequential all(first, second);
  for (const bool disable : {false, true}) {
    const auto wrapped = std::make_shared<Sequential>(
        std::make_shared<InvertibleModuleWrapper>(first, WrapperOptions{.disable = disable}),
        std::make_shared<InvertibleModuleWrapper>(second, WrapperOptions{.disable = disable}));
    CHECK(error(step(all, [&](const Var& x) { return (*wrapped)(x); }),
                step(all, [&](const Var& x) { return all(x); })) <= kRebuilt);
  }
}

TEST_CASE("one dropout may stand in two checkpoints", "[replay]") {
  const auto shared = std::make_shared<Dropout>(0.5);
  const auto a = std::make_shared<Sequential>(std::make_shared<Layer>(4, 4), shared);
  const auto b = std::make_shared<Sequential>(shared, std::make_shared<Layer>(4, 4));
  Sequential both(a, b);
  class Checkpointed final : public Module {
   public:
    Checkpointed(std::shared_ptr<Module> first, std::shared_ptr<Module> second)
        : first_(std::move(first)), second_(std::move(second)) {}
    Var forward(const Var& x) override { return checkpoint(second_, checkpoint(first_, x)); }
    void members(Members& m) override {
      m.module("0", first_);
      m.module("1", second_);
    }

   private:
    std::shared_ptr<Module> copy() const override { return std::make_shared<Checkpointed>(*this); }
    std::shared_ptr<Module> first_;
    std::shared_ptr<Module> second_;
  } checkpointed(a, b);
  const Tensors expected = step(both, [&](const Var& x) { return both(x); });
  const Tensors got = step(both, [&](const Var& x) { return checkpointed(x); });
  for (std::size_t i = 0; i < got.size(); ++i) CHECK(bit_equal(got[i], expected[i]));
}

TEST_CASE("a shared module draws the same numbers in each forward of one seed", "[replay]") {
  const auto shared = std::make_shared<Dropout>(0.5);
  const auto a = std::make_shared<Sequential>(std::make_shared<Layer>(4, 4), shared);
  const auto b = std::make_shared<Sequential>(shared, std::make_shared<Layer>(4, 4));
  Sequential net(a, b);
  const auto forward = [&] {
    manual_seed(3);
    return net(Var(uniform(kShape, 1))).value();
  };
  const Tensor first = forward();
  CHECK(bit_equal(forward(), first));
}

TEST_CASE("a seed between forward and backward changes nothing", "[replay]") {
  for (const Kind kind : {Kind::additive, Kind::affine_naive, Kind::affine_sigmoid})
    check_every_way(make_invertible(kind, 0.5), [] { manual_seed(99); });
  for (const int implementation : {-1, 0, 1}) {
    const auto coupling = std::make_shared<AdditiveCoupling>(
        with_dropout(), with_dropout(),
        CouplingOptions{.implementation_fwd = implementation, .implementation_bwd = implementation});
    const auto run = [&](const Var& x) { return (*coupling)(x); };
    CHECK(error(step(*coupling, run, [] { manual_seed(99); }), step(*coupling, run)) == 0);
  }
}

TEST_CASE("two forwards of one tape may have a seed each", "[replay]") {
  const auto module = make_invertible(Kind::additive, 0.5);
  const auto forward = [&](bool disable) {
    return [&, disable](const Var& x) {
      InvertibleModuleWrapper wrapper(module, {.disable = disable});
      manual_seed(1);
      const Var first = wrapper(x * 1.0);
      manual_seed(2);
      return first + wrapper(x * 1.0);
    };
  };
  CHECK(error(step(*module, forward(false)), step(*module, forward(true))) <= kRebuilt);
}

TEST_CASE("backward on another thread draws the forward's numbers", "[replay]") {
  const auto module = make_invertible(Kind::additive, 0.5);
  const auto on_thread = [&](const Function& forward) {
    manual_seed(7);
    module->zero_grad();
    Tape tape;
    const Var x = tape.watch(uniform(kShape, 1));
    const Var y = mse_loss(forward(x * 1.0), uniform(kShape, 2));
    std::thread([&] {
      manual_seed(1234);
      tape.backward(y);
    }).join();
    return tape.grad(x);
  };
  const Tensor expected = on_thread([&](const Var& x) { return (*module)(x); });
  CHECK(roundings(on_thread([&](const Var& x) { return InvertibleModuleWrapper(module)(x); }), expected) <=
        kRebuilt);
  CHECK(bit_equal(on_thread([&](const Var& x) { return checkpoint(module, x); }), expected));
}

TEST_CASE("a module that sets the seed in forward may be replayed", "[replay]") {
  class Seeding final : public Module {
   public:
    Var forward(const Var& x) override {
      manual_seed(5);
      return dropout(tanh(x), 0.5);
    }

   private:
    std::shared_ptr<Module> copy() const override { return std::make_shared<Seeding>(*this); }
  };
  check_every_way(
      std::make_shared<AdditiveCoupling>(std::make_shared<Layer>(2, 2), std::make_shared<Seeding>()));

  // Here G draws what F's seed gives, and an inverse runs G first.
  const auto seeded = std::make_shared<AdditiveCoupling>(std::make_shared<Seeding>(), with_dropout());
  const auto run = [&] { step(*seeded, [&](const Var& x) { return InvertibleModuleWrapper(seeded)(x); }); };
  CHECK_THROWS_AS(run(), GradientError);

  // A replay does not touch the program's own generator.
  manual_seed(5);
  Tape tape;
  const Var x = tape.watch(uniform(kShape, 1));
  const Var y = checkpoint(std::make_shared<Seeding>(), x);
  manual_seed(77);
  tape.backward(sum(y));
  CHECK(generator_state().seed == 77);
}

namespace {

/// Two couplings, one after the other, in a container that inverts them directly.
class Own final : public InvertibleModule {
 public:
  Own(std::shared_ptr<InvertibleModule> a, std::shared_ptr<InvertibleModule> b)
      : a_(std::move(a)), b_(std::move(b)) {}
  Var forward(const Var& x) override { return (*b_)((*a_)(x)); }
  Var inverse(const Var& y) override { return a_->inverse(b_->inverse(y)); }
  void members(Members& m) override {
    m.module("a", a_);
    m.module("b", b_);
  }

 private:
  std::shared_ptr<Module> copy() const override { return std::make_shared<Own>(*this); }
  std::shared_ptr<InvertibleModule> a_;
  std::shared_ptr<InvertibleModule> b_;
};

/// y1 = x1 + m(x2), y2 = x2 + m(y1) with one m, written without a Coupling.
class Twice final : public InvertibleModule {
 public:
  Twice(std::shared_ptr<Module> m, bool named) : m_(std::move(m)), named_(named) {}
  Vars forward_all(const Vars& x) override {
    const Var y1 = x[0] + call("first", x[1]);
    return {y1, x[1] + call("second", y1)};
  }
  Vars inverse_all(const Vars& y) override {
    const Var x2 = y[1] - call("second", y[0]);
    return {y[0] - call("first", x2), x2};
  }
  void members(Members& m) override { m.module("m", m_); }

 private:
  Var call(const char* name, const Var& x) {
    if (!named_) return (*m_)(x);
    const ModuleScope scope(*m_, name);
    return (*m_)(x);
  }
  std::shared_ptr<Module> copy() const override { return std::make_shared<Twice>(*this); }
  std::shared_ptr<Module> m_;
  bool named_;
};

Function on_streams(const std::function<Vars(const Vars&)>& f) {
  return [f](const Var& x) { return concatenate(f(split(x, {2, 2}, 1)), 1); };
}

}  // namespace

TEST_CASE("a container may invert its children directly", "[replay]") {
  check_every_way(std::make_shared<Own>(make_invertible(Kind::additive, 0.5),
                                        make_invertible(Kind::affine_sigmoid, 0.5)));
  const auto wrapped = [](Kind kind) {
    return std::make_shared<InvertibleModuleWrapper>(make_invertible(kind, 0.5));
  };
  check_every_way(std::make_shared<Own>(wrapped(Kind::additive), wrapped(Kind::affine_naive)));
  const auto swapped = [] { return std::make_shared<Inverse>(make_invertible(Kind::additive, 0.5)); };
  check_every_way(std::make_shared<Own>(swapped(), swapped()));
}

TEST_CASE("where nothing tells which draw of the forward an inverse repeats, it is an error", "[replay]") {
  const auto named = std::make_shared<Twice>(with_dropout(), true);
  const auto plain = on_streams([&](const Vars& x) { return (*named)(x); });
  const auto reversible = on_streams([&](const Vars& x) { return InvertibleModuleWrapper(named)(x); });
  CHECK(error(step(*named, reversible), step(*named, plain)) <= kRebuilt);

  const auto unnamed = std::make_shared<Twice>(with_dropout(), false);
  const auto run = [&] {
    step(*unnamed, on_streams([&](const Vars& x) { return InvertibleModuleWrapper(unnamed)(x); }));
  };
  CHECK_THROWS_AS(run(), GradientError);
  CHECK_THROWS_WITH(
      run(),
      "[random] while an inverse is replayed, random numbers must be drawn once under each name, but "
      "'m.1' draws twice; use a clone of the module, or a Scope of its own for each use");
  const auto dry = std::make_shared<Twice>(std::make_shared<Layer>(2, 2), false);  // draws nothing
  CHECK(error(step(*dry, on_streams([&](const Vars& x) { return InvertibleModuleWrapper(dry)(x); })),
              step(*dry, on_streams([&](const Vars& x) { return (*dry)(x); }))) <= kRebuilt);
}

TEST_CASE("an inverse that draws under other names than its forward is an error", "[replay]") {
  /// y = x + noise, drawn under a name in forward and under none in inverse.
  class Forgetful final : public InvertibleModule {
   public:
    Var forward(const Var& x) override {
      const Scope scope("noise");
      return dropout(x, 0.5);
    }
    Var inverse(const Var& y) override { return dropout(y, 0.5); }

   private:
    std::shared_ptr<Module> copy() const override { return std::make_shared<Forgetful>(*this); }
  };
  const auto module = std::make_shared<Forgetful>();
  CHECK_THROWS_AS(step(*module, [&](const Var& x) { return InvertibleModuleWrapper(module)(x); }),
                  GradientError);
}

TEST_CASE("a module may end before backward", "[replay]") {
  const auto run = [](bool ends, bool disable) {
    manual_seed(7);
    auto module = make_invertible(Kind::additive, 0.5);
    auto wrapper = std::make_shared<InvertibleModuleWrapper>(module, WrapperOptions{.disable = disable});
    auto head = std::make_shared<Layer>(4, 3);
    Tape tape;
    const Var x = tape.watch(uniform(kShape, 1));
    const Var y = sum((*head)(checkpoint(std::make_shared<Layer>(4, 4), (*wrapper)(x * 1.0))));
    if (ends) {
      module.reset();
      wrapper.reset();
      head.reset();
    }
    tape.backward(y);
    return tape.grad(x);
  };
  for (const bool disable : {false, true}) CHECK(bit_equal(run(true, disable), run(false, disable)));
}
