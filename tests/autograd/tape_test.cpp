#include <retrace/autograd/gradient_check.h>
#include <retrace/autograd/ops.h>
#include <retrace/autograd/record.h>
#include <retrace/autograd/tape.h>
#include <retrace/core/memory.h>
#include <retrace/core/random.h>

#include <algorithm>
#include <memory>
#include <sstream>
#include <thread>

#include "../support/catch.h"
#include "../support/rounding.h"

using namespace retrace;
using test::roundings;

namespace {

Tensor numbers(std::initializer_list<double> values) {
  return Tensor::from<double>(values, {static_cast<std::int64_t>(values.size())});
}

/// y0 = 2x, y1 = 3x: a node with two outputs. Counts how often it runs and may throw.
class TwoOutputs final : public TapeHook {
 public:
  explicit TwoOutputs(bool must_run = false, bool throws = false) : must_run_(must_run), throws_(throws) {}
  std::string_view name() const override { return "two_outputs"; }
  bool must_run() const override { return must_run_; }
  Tensors backward(Tensors dy, const BackwardPass&) override {
    ++runs;
    if (throws_) throw GradientError("[two_outputs] broken on purpose");
    Tensor dx;
    for (std::size_t i = 0; i < 2; ++i) {
      if (!dy[i].defined()) continue;
      Tensor term = (scale(Var(dy[i]), i == 0 ? 2 : 3)).value();
      dx = dx.defined() ? (Var(dx) + Var(term)).value() : term;
    }
    return {dx};
  }
  static Vars apply(const Var& x, bool must_run = false, bool throws = false) {
    return Tape::current()->attach({x}, {scale(x.value(), 2), scale(x.value(), 3)},
                                   std::make_unique<TwoOutputs>(must_run, throws));
  }
  static inline int runs = 0;

 private:
  static Tensor scale(const Tensor& x, double factor) { return scale(Var(x), factor).value(); }
  static Var scale(const Var& x, double factor) { return Var(x.value()) * factor; }
  bool must_run_;
  bool throws_;
};

}  // namespace

TEST_CASE("a tape gives the gradients of a chain", "[tape]") {
  Tape tape;
  const Var x = tape.watch(numbers({0.5, -1}));
  tape.backward(sum(tanh(x) * x));
  for (std::size_t i = 0; i < 2; ++i) {
    const double v = x.value().to_vector<double>()[i];
    const double expected = std::tanh(v) + v * (1 - std::tanh(v) * std::tanh(v));
    CHECK(roundings(tape.grad(x).to_vector<double>()[i], expected, DType::f64) <= 20);
  }
  CHECK(tape.size() == 0);
}

TEST_CASE("a variable prints its tensor and whether gradients flow", "[tape]") {
  const Tensor t = Tensor::from<float>({1, 2}, {2});
  const auto text = [](const Var& x) {
    std::ostringstream out;
    out << x;
    return out.str();
  };
  CHECK(text(t + t) == "tensor([2, 4], f32)");
  CHECK(text(Var()) == "tensor(undefined)");
  Parameter p(t.clone(Tag::parameter));
  CHECK(text(p) == "tensor([1, 2], f32), parameter");
  Tape tape;
  CHECK(text(tape.watch(t)) == "tensor([1, 2], f32), on a tape");
  CHECK(text(p * 2) == "tensor([2, 4], f32), on a tape");
  CHECK((t + t).numel() == 2);
  CHECK((t + t).device() == Device::cpu());
  CHECK(sum(t).item() == 3);
}

TEST_CASE("gradients of a variable that is used twice are summed", "[tape]") {
  Tape tape;
  const Var x = tape.watch(numbers({3}));
  tape.backward(x * x + x);
  CHECK(tape.grad(x).item() == 7);
}

namespace {

/// y = x_0 + x_1 + ...; notes what is offered, and adds to it if it `takes`.
class Sum final : public TapeHook {
 public:
  explicit Sum(bool takes) : takes_(takes) {}
  std::string_view name() const override { return "sum_of"; }
  Tensors backward(Tensors dy, const BackwardPass& pass) override {
    Tensors dx;
    for (Tensor& arrived : pass.arrived) {
      offered.push_back(arrived.defined() ? arrived.item() : 0);
      const bool take = takes_ && arrived.defined();
      alone = arrived.defined() && arrived.unique();
      dx.push_back(take ? (Var(std::exchange(arrived, Tensor())) + Var(dy[0])).value() : dy[0]);
    }
    return dx;
  }
  static Var apply(const Vars& xs, bool takes) {
    Tensor y = numbers({0});
    for (const Var& x : xs) y = (Var(y) + Var(x.value())).value();
    return Tape::current()->attach(xs, {y}, std::make_unique<Sum>(takes)).front();
  }
  static inline std::vector<double> offered;
  static inline bool alone;  ///< nobody else held the last one

 private:
  bool takes_;
};

}  // namespace

TEST_CASE("a node is offered the gradients that its inputs have, and may add to them itself", "[tape]") {
  const bool takes = GENERATE(true, false);
  Sum::offered.clear();
  Tape tape;
  const Var x = tape.watch(numbers({3}));
  const Var h = x * 2;
  SECTION("one that came before, of a result") {
    const Var y = Sum::apply({h}, takes);
    tape.backward({y, h * 5}, {numbers({1}), numbers({2})});
    CHECK(Sum::offered == std::vector<double>{10});
    CHECK(Sum::alone);
    CHECK(tape.grad(x).item() == 22);
  }
  SECTION("of a watched variable") {
    const Var y = Sum::apply({x}, takes);
    tape.backward({y, x}, {numbers({1}), numbers({10})});
    CHECK(Sum::offered == std::vector<double>{10});
    CHECK(tape.grad(x).item() == 11);
  }
  SECTION("once, to the first of equal inputs") {
    const Var y = Sum::apply({h, h}, takes);
    tape.backward({y, h}, {numbers({1}), numbers({10})});
    CHECK(Sum::offered == std::vector<double>{10, 0});
    CHECK(tape.grad(x).item() == 24);
  }
  SECTION("none, where none came") {
    const Var y = Sum::apply({h}, takes);
    tape.backward(y);
    CHECK(Sum::offered == std::vector<double>{0});
    CHECK(tape.grad(x).item() == 2);
  }
}

TEST_CASE("gradients of parameters go into the parameter and add up", "[tape]") {
  Parameter w(numbers({2, 3}));
  for (int pass = 1; pass <= 2; ++pass) {
    Tape tape;
    tape.backward(sum(Var(w) * Var(numbers({10, 20}))));
    CHECK(w.grad().to_vector<double>() == std::vector<double>{10.0 * pass, 20.0 * pass});
  }
  CHECK(w.grad().storage().tag() == Tag::parameter_gradient);
  w.zero_grad();
  CHECK_FALSE(w.has_grad());
}

TEST_CASE("a frozen parameter is a constant", "[tape]") {
  Parameter w(numbers({2}));
  w.set_requires_grad(false);
  Tape tape;
  const Var x = tape.watch(numbers({5}));
  tape.backward(Var(w) * x);
  CHECK_FALSE(w.has_grad());
  CHECK(tape.grad(x).item() == 2);
}

TEST_CASE("backward starts from several roots at once", "[tape]") {
  Tape tape;
  const Var x = tape.watch(numbers({1, 2}));
  const Var a = x * 2.0;
  const Var b = x * 3.0;
  tape.backward({a, b}, {numbers({1, 1}), numbers({10, 10})});
  CHECK(tape.grad(x).to_vector<double>() == std::vector<double>{32, 32});
}

TEST_CASE("a node may have several outputs, some without a gradient", "[tape]") {
  Tape tape;
  const Var x = tape.watch(numbers({1}));
  const Vars y = TwoOutputs::apply(x);
  SECTION("both") {
    tape.backward(y[0] + y[1]);
    CHECK(tape.grad(x).item() == 5);
  }
  SECTION("the second") {
    tape.backward(y[1]);
    CHECK(tape.grad(x).item() == 3);
  }
}

TEST_CASE("a node that no gradient reaches is skipped unless it must run", "[tape]") {
  for (const bool must_run : {false, true}) {
    TwoOutputs::runs = 0;
    Tape tape;
    const Var x = tape.watch(numbers({1}));
    const Var y = x * 4.0;
    TwoOutputs::apply(x, must_run);
    tape.backward(y);
    CHECK(TwoOutputs::runs == (must_run ? 1 : 0));
    CHECK(tape.grad(x).item() == 4);
  }
}

TEST_CASE("a retained tape can run again, and gradients add up", "[tape]") {
  Tape tape;
  const Var x = tape.watch(numbers({3}));
  const Var y = x * x;
  tape.backward(y, {.retain = true});
  CHECK(tape.grad(x).item() == 6);
  tape.backward(y);
  CHECK(tape.grad(x).item() == 12);
  CHECK(tape.size() == 0);
  CHECK_THROWS_WITH(
      tape.backward(y),
      "[backward] a variable must still be on the tape, but a backward has eaten it; keep the tape "
      "with {.retain = true}");
}

TEST_CASE("nothing is recorded under NoTape, after the tape, or of constants", "[tape]") {
  CHECK(Tape::current() == nullptr);
  {
    Tape tape;
    const Var x = tape.watch(numbers({1}));
    {
      const NoTape no_tape;
      CHECK(tanh(x).constant());
    }
    CHECK(tanh(Var(numbers({1}))).constant());
    CHECK(tape.size() == 0);
    CHECK_FALSE(tanh(x).constant());
    CHECK(tape.size() == 1);
  }
  CHECK(Tape::current() == nullptr);
}

TEST_CASE("tapes nest", "[tape]") {
  Tape outer;
  const Var x = outer.watch(numbers({2}));
  const Var y = x * x;
  {
    Tape inner;
    CHECK(Tape::current() == &inner);
    const Var v = inner.watch(numbers({3}));
    inner.backward(v * v);
    CHECK(inner.grad(v).item() == 6);
    CHECK_THROWS_WITH(
        x * v,
        "[mul] a variable must be on the current tape, got one of another tape; pass its value() "
        "instead");
  }
  outer.backward(y);
  CHECK(outer.grad(x).item() == 4);
}

TEST_CASE("wrong starts of backward are errors", "[tape]") {
  Tape tape;
  const Var x = tape.watch(numbers({1, 2}));
  const Var y = tanh(x);
  CHECK_THROWS_WITH(tape.backward(y), "[backward] without dy, y must have one element, got [2]");
  CHECK_THROWS_WITH(tape.backward(y, numbers({1})), "[backward] dy must have y's shape [2], got [1]");
  CHECK_THROWS_WITH(tape.backward(Vars{y, y}, Tensors{numbers({1, 1})}),
                    "[backward] there must be one dy for each root, got 1 for 2");
  CHECK_THROWS_WITH(
      tape.backward(Var(numbers({1}))),
      "[backward] y must depend on a parameter or a watched tensor of this tape, got a constant");
  CHECK_THROWS_WITH(tape.grad(y),
                    "[grad] the variable must be a watched one, got the result of an operation");
  CHECK_THROWS_WITH(tape.watch(Tensor::from<std::int64_t>({1}, {1})),
                    "[watch] x must be f32, f64, bf16 or f16, got i64");
  tape.backward(y, numbers({1, 1}));
  CHECK_THROWS_AS(tanh(y), GradientError);
}

TEST_CASE("a saved tensor that was written since is an error that names both", "[tape]") {
  Tape tape;
  Tensor a = numbers({2});
  const Var x = tape.watch(numbers({3}));
  const Var y = Var(a) * x;
  {
    const OpName writer("optimizer");
    a.mutable_data<double>()[0] = 5;
  }
  CHECK_THROWS_WITH(
      tape.backward(y),
      "[mul] what was saved, f64 [1], must be unchanged when backward reaches it, but optimizer "
      "wrote it since");
}

TEST_CASE("an exception in backward voids gradients and frees everything", "[tape]") {
  Parameter w(numbers({2}));
  const std::int64_t before = ledger().live(kStepTags);
  {
    Tape tape;
    const Var h = Var(w) * Var(numbers({3}));
    const Vars broken = TwoOutputs::apply(h, false, true);
    const Var y = broken[0] * Var(w);  // runs before the broken node: w has a part of its gradient
    CHECK_THROWS_WITH(tape.backward(y), "[two_outputs] broken on purpose");
    CHECK(tape.size() == 0);
  }
  CHECK(ledger().live(kStepTags) == before);
  CHECK_THROWS_WITH(
      w.grad(),
      "[parameter] a gradient must be complete, but backward failed in two_outputs; call zero_grad() "
      "first");
  w.zero_grad();
  Tape tape;
  tape.backward(Var(w) * Var(numbers({3})));
  CHECK(w.grad().item() == 3);
}

TEST_CASE("a gradient of another shape is an error", "[tape]") {
  Tape tape;
  const Var x = tape.watch(numbers({1, 2}));
  const Var y = record("odd", {x}, numbers({1}), {},
                       [](const Tensor& dy, Saved, const Wants&) -> Tensors { return {dy}; });
  CHECK_THROWS_WITH(tape.backward(y), "[odd] a gradient must have its value's shape [2], got [1]");
  Parameter w(numbers({1, 2}));
  CHECK_THROWS_WITH(w.accumulate_grad(numbers({1})),
                    "[parameter] the gradient must be f64 [2] as its parameter, got f64 [1]");
}

TEST_CASE("memory falls while the tape is eaten", "[tape][memory]") {
  const std::int64_t block = 64 * 8;
  Tape tape;
  const Tensor start({64}, DType::f64);
  Tensor filled = start;
  std::fill_n(filled.mutable_data<double>(), 64, 0.5);
  Var y = tape.watch(filled);
  const std::int64_t before = ledger().live(kStepTags);
  for (int i = 0; i < 5; ++i) y = tanh(y);
  CHECK(ledger().live(kStepTags) - before == 5 * block);
  CHECK(tape.saved_bytes() == 5 * block);
  Counter counter(kStepTags);
  const Tensor dy = Tensor::full({64}, 1, DType::f64, Tag::gradient);
  tape.backward(y, dy);
  // At the peak, in the last derivative but one: five results (y still holds the last), dy, and two
  // gradients.
  CHECK(counter.peak() - before == 8 * block);
  y = Var();
  CHECK(ledger().live(kStepTags) - before == 2 * block);  // dy and x's gradient
}

TEST_CASE("print shows each node with what it saved", "[tape]") {
  Tape tape;
  const Var x = tape.watch(numbers({1, 2}));
  {
    const Scope scope("layer");
    tanh(x * x);
  }
  std::ostringstream out;
  tape.print(out);
  CHECK(out.str() ==
        "node  operation                   where                                bytes  saved\n"
        "   0  mul                         layer                                   16  f64[2], f64[2]\n"
        "   1  tanh                        layer                                   16  f64[2]\n"
        "2 nodes keep 32 bytes, each storage counted once\n");
}

TEST_CASE("an observer sees every node, and those of replays deeper", "[tape]") {
  struct Log final : TapeObserver {
    std::vector<std::string> lines;
    void on(const TapeEvent& e) override {
      constexpr const char* kKinds[] = {"recorded", "running", "done", "backward", "finished"};
      lines.push_back(std::string(kKinds[static_cast<int>(e.kind)]) + " " + std::string(e.op) + " " +
                      path_of(e.scope) + " " + std::to_string(e.depth) +
                      (e.hook == nullptr ? "" : " saved " + std::to_string(e.hook->saved().size())));
    }
  } log;
  Tape tape;
  tape.observe(&log);
  const Var x = tape.watch(numbers({1}));
  const Scope scope("net");
  const Var y = tanh(x);
  {
    Tape local;
    tanh(local.watch(numbers({1})));
  }
  tape.backward(y);
  CHECK(log.lines == std::vector<std::string>{"recorded tanh net 0 saved 1", "recorded tanh net 1 saved 1",
                                              "backward backward  0", "running tanh net 0 saved 1",
                                              "done tanh net 0 saved 1", "finished backward  0"});
}

TEST_CASE("the generator steps once at each outermost tape", "[tape][random]") {
  manual_seed(1);
  {
    Tape tape;
    Tape inner;
    CHECK(generator_state().step == 1);
  }
  Tape tape;
  CHECK(generator_state().step == 2);
}

TEST_CASE("a tape that replaces another one records, step after step", "[tape]") {
  Parameter w(numbers({2}));
  std::unique_ptr<Tape> tape;
  for (int step = 1; step <= 3; ++step) {
    tape = std::make_unique<Tape>();
    CHECK(Tape::current() == tape.get());
    tape->backward(Var(w) * Var(w));
    CHECK(w.grad().item() == 4 * step);
  }
  tape.reset();
  CHECK(Tape::current() == nullptr);
}

TEST_CASE("tapes, NoTape and Recomputing end in any order", "[tape]") {
  auto outer = std::make_unique<Tape>();
  auto none = std::make_unique<NoTape>();
  auto inner = std::make_unique<Tape>();
  outer.reset();
  CHECK(Tape::current() == inner.get());
  inner.reset();
  CHECK(Tape::current() == nullptr);
  none.reset();
  CHECK(Tape::current() == nullptr);
  {
    const Tape tape;
    none = std::make_unique<NoTape>();
  }
  CHECK(Tape::current() == nullptr);  // NoTape outlives its tape
  const Tape last;
  none.reset();
  CHECK(Tape::current() == &last);

  std::unique_ptr<Recomputing> recomputing;
  for (int i = 0; i < 3; ++i) {
    recomputing = std::make_unique<Recomputing>();
    CHECK(Recomputing::active());
  }
  recomputing.reset();
  CHECK_FALSE(Recomputing::active());
}

TEST_CASE("a tape may end on another thread, and run its backward there", "[tape]") {
  struct Depths final : TapeObserver {
    std::vector<int> seen;
    void on(const TapeEvent& e) override { seen.push_back(e.depth); }
  } depths;
  Parameter w(numbers({2}));
  auto tape = std::make_unique<Tape>();
  tape->observe(&depths);
  const Var y = record("nested", {w}, numbers({4}), {}, [](const Tensor& dy, Saved, const Wants&) -> Tensors {
    Tape local;
    const Var x = local.watch(dy);
    local.backward(x * x);
    return {local.take_grad(x)};
  });
  std::thread([&] {
    tape->backward(y);
    tape.reset();
  }).join();
  CHECK(w.grad().item() == 2);
  CHECK(Tape::current() == nullptr);
  CHECK(*std::max_element(depths.seen.begin(), depths.seen.end()) == 1);
}

TEST_CASE("an observer that ends before its tape is not called again", "[tape]") {
  struct Count final : TapeObserver {
    explicit Count(int& counted) : count(&counted) {}
    void on(const TapeEvent&) override { ++*count; }
    int* count;
  };
  int count = 0;
  Tape tape;
  const Var x = tape.watch(numbers({1}));
  {
    Count observer(count);
    const Count copy(observer);  // observes nothing
    tape.observe(&observer);
    static_cast<void>(x * x);
    CHECK(count == 1);
    tape.observe(nullptr);
    static_cast<void>(x * x);
    CHECK(count == 1);
    tape.observe(&observer);
  }
  static_cast<void>(x * x);
  CHECK(count == 1);
}

TEST_CASE("backward inside of an observer or of a derivative is an error", "[tape]") {
  struct Impatient final : TapeObserver {
    explicit Impatient(Tape& observed) : tape(observed) {}
    void on(const TapeEvent&) override { tape.backward(Vars{}, Tensors{}); }
    Tape& tape;
  };
  const std::string text = "[backward] a tape must not run backward inside of its own backward or observer";
  Tape tape;
  const Var x = tape.watch(numbers({1}));
  const Var y = x * x;
  {
    Impatient impatient(tape);
    tape.observe(&impatient);
    CHECK_THROWS_AS(static_cast<void>(x * x), GradientError);
    CHECK_THROWS_WITH(static_cast<void>(x * x), text);
    CHECK_THROWS_WITH(tape.backward(y), text);
  }
  tape.backward(y);
  CHECK(tape.grad(x).item() == 2);
}

TEST_CASE("a parameter's gradient is there for the tape after the parameter has ended", "[tape]") {
  Tape tape;
  const Var x = tape.watch(numbers({3}));
  const Var y = [&] {
    Parameter w(numbers({2}));
    return x * w * w;
  }();
  tape.backward(y);
  CHECK(tape.grad(x).item() == 4);
}

TEST_CASE("a derivative returns one gradient for each input", "[tape]") {
  for (const std::size_t count : {0, 1, 3}) {
    Parameter a(numbers({1}));
    Parameter b(numbers({1}));
    Tape tape;
    const Var y = record("odd", {a, b}, numbers({1}), {},
                         [count](const Tensor& dy, Saved, const Wants&) { return Tensors(count, dy); });
    const std::string text =
        "[odd] a derivative must return one gradient for each input, got " + std::to_string(count) + " for 2";
    CHECK_THROWS_AS(tape.backward(y, {.retain = true}), GradientError);
    CHECK_FALSE(a.has_grad());
    Tape again;
    const Var z = record("odd", {a, b}, numbers({1}), {},
                         [count](const Tensor& dy, Saved, const Wants&) { return Tensors(count, dy); });
    CHECK_THROWS_WITH(again.backward(z), text);
  }
}

TEST_CASE("a backward that fails before its walk leaves nothing behind", "[tape]") {
  const std::int64_t size = 1 << 16;
  Tape tape;
  const Var x = tape.watch(Tensor::full({size}, 2, DType::f64));
  const Var y = x * x;
  const Tensor d1 = Tensor::full({size}, 1, DType::f64);
  const Tensor d2 = Tensor::full({size}, 2, DType::f64);
  ledger().set_budget(ledger().live() + 8);
  CHECK_THROWS_AS(tape.backward(Vars{y, y}, {d1, d2}), OutOfMemoryError);
  ledger().set_budget(0);
  const std::string text =
      "[backward] a variable must be of a tape whose backward did not fail, but this one's did";
  CHECK_THROWS_AS(tape.backward(y, d1), GradientError);
  CHECK_THROWS_WITH(tape.backward(y, d1), text);
  CHECK_THROWS_AS(tape.grad(x), GradientError);

  Tape other;  // what is wrong with the roots is found before anything is added
  const Var z = other.watch(numbers({3}));
  const Var w = z * z;
  CHECK_THROWS_AS(other.backward(Vars{w, w}, {numbers({1}), numbers({1, 2})}), ShapeError);
  CHECK_THROWS_WITH(other.backward(w, Tensor()), "[backward] dy must be defined, got an undefined tensor");
  other.backward(w);
  CHECK(other.grad(z).item() == 6);
}

TEST_CASE("after a backward that failed, no watched tensor shows a part of its gradient", "[tape]") {
  Tape tape;
  const Var x = tape.watch(numbers({1}));
  const Var broken = TwoOutputs::apply(x, false, /*throws=*/true)[0];
  const Var y = broken + x * x;  // x's gradient from the product arrives first
  CHECK_THROWS_AS(tape.backward(y), GradientError);
  CHECK_THROWS_WITH(tape.grad(x),
                    "[grad] a variable must be of a tape whose backward did not fail, but this one's did");
}

TEST_CASE("a node has a hook", "[tape]") {
  Tape tape;
  const Var x = tape.watch(numbers({1}));
  CHECK_THROWS_AS(tape.attach({x}, {numbers({2})}, nullptr), ArgumentError);
  CHECK_THROWS_WITH(tape.attach({x}, {numbers({2})}, nullptr), "[attach] the hook must not be null");
  CHECK(tape.size() == 0);
}

TEST_CASE("undefined tensors are not watched and not differentiated", "[tape]") {
  Tape tape;
  CHECK_THROWS_AS(tape.watch(Tensor()), ArgumentError);
  CHECK_THROWS_WITH(tape.watch(Tensor()), "[watch] the tensor must be defined, got an undefined one");
  CHECK_THROWS_AS(tape.backward(Var()), ArgumentError);
  CHECK_THROWS_WITH(tape.backward(Var()), "[backward] y must be defined, got an undefined variable");
}
