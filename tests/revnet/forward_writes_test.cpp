// Modules whose forward writes parameters or buffers: they train in a wrapper, or the error says what
// happened.
#include <retrace/core/kernels.h>
#include <retrace/revnet/checkpoint.h>

#include <functional>

#include "../support/catch.h"
#include "modules.h"

using namespace retrace;
using namespace retrace::test;

namespace {

/// When and how `Normed` writes.
enum class Writes {
  once,          // ActNorm: at its first forward
  every_time,    // a norm that is enforced: at each forward, but not in a replay
  in_replays,    // the same in replays, too
  after_reading  // at each forward, when the result has been computed
};

/// y = s x with s [1, C] of the first batch (or as `writes` says): x -> x / max |x|.
class Normed final : public InvertibleModule {
 public:
  explicit Normed(Writes writes) : writes_(writes) {}
  Var forward(const Var& x) override {
    if (writes_ != Writes::after_reading) write(x);
    const Var y = x * Var(scale_);
    if (writes_ == Writes::after_reading) write(x);
    return y;
  }
  Var inverse(const Var& y) override { return y / Var(scale_); }
  void members(Members& m) override {
    m.parameter("scale", scale_);
    m.buffer("runs", runs_);
  }

 private:
  std::shared_ptr<Module> copy() const override { return std::make_shared<Normed>(*this); }
  void write(const Var& x) {
    if (!training() || (Recomputing::active() && writes_ != Writes::in_replays)) return;
    const double runs = runs_.item();
    if (writes_ == Writes::once && runs > 0) return;
    double largest = 0;
    for (const double v : x.value().to_vector<double>()) largest = std::max(largest, std::abs(v));
    kernel::fill(scale_.value(), (1 + runs) / largest);
    kernel::fill(runs_, runs + 1);
  }

  Writes writes_;
  Parameter scale_{Tensor::full({1}, 0.25, DType::f64)};
  Tensor runs_ = Tensor::zeros({1}, DType::f64, Tag::buffer);
};

/// A running mean made of operations: read and written in training, but not by the result.
class Watched final : public InvertibleModule {
 public:
  explicit Watched(bool uses) : uses_(uses) {}
  Var forward(const Var& x) override {
    const Var y = uses_ ? x + Var(mean_) : x * 2.0;
    if (!Recomputing::active()) {
      const Tensor next = (Var(mean_) * 0.9 + mean(Var(x.value())) * 0.1).value();
      mean_.mutable_data<double>()[0] = next.item();
    }
    return y;
  }
  Var inverse(const Var& y) override { return uses_ ? y - Var(mean_) : y * 0.5; }
  void members(Members& m) override { m.buffer("mean", mean_); }

 private:
  std::shared_ptr<Module> copy() const override { return std::make_shared<Watched>(*this); }
  bool uses_;
  Tensor mean_ = Tensor::full({1}, 0.5, DType::f64, Tag::buffer);
};

/// A container with the default rewind, whose child runs in a wrapper of its own.
class Nest final : public InvertibleModule {
 public:
  explicit Nest(std::shared_ptr<InvertibleModule> inner) : inner_(std::move(inner)) {}
  Var forward(const Var& x) override { return inner_(x); }
  Var inverse(const Var& y) override { return inner_.inverse(y); }
  void members(Members& m) override { m.module("inner", inner_); }

 private:
  std::shared_ptr<Module> copy() const override { return std::make_shared<Nest>(*this); }
  InvertibleModuleWrapper inner_;
};

using Modules = std::vector<std::shared_ptr<InvertibleModule>>;
using Make = std::function<std::shared_ptr<InvertibleModule>()>;
using Run = std::function<Var(const std::shared_ptr<InvertibleModule>&, const Var&)>;

const Run kPlain = [](const auto& m, const Var& x) { return m->forward(x); };
const Run kWrapped = [](const auto& m, const Var& x) { return InvertibleModuleWrapper(m)(x); };
const Run kKept = [](const auto& m, const Var& x) {
  return InvertibleModuleWrapper(m, {.keep_input = true})(x);
};
const Run kCheckpointed = [](const auto& m, const Var& x) { return checkpoint(m, x); };

/// Gradients, dx and buffers of a step in which the module, newly made, runs once or twice before backward.
Tensors step(const Make& make, const Run& run, int forwards = 1) {
  manual_seed(3);
  const auto module = make();
  Tape tape;
  const Var x = tape.watch(uniform({3, 4}, 1));
  Var loss = sum(square(run(module, tanh(x))));
  if (forwards == 2) loss = loss + sum(square(run(module, tanh(x * 3.0))));
  tape.backward(loss);
  Tensors found{tape.grad(x)};
  for (const auto& [name, gradient] : gradients(*module)) found.push_back(gradient.clone(Tag::data));
  for (const auto& [name, buffer] : module->named_buffers()) found.push_back(buffer->clone(Tag::data));
  return found;
}

void check_trains(const Make& make, int forwards = 1) {
  const Tensors stored = step(make, kPlain, forwards);
  for (const Run& run : {kWrapped, kKept, kCheckpointed}) {
    const Tensors other = step(make, run, forwards);
    REQUIRE(other.size() == stored.size());
    for (std::size_t i = 0; i < stored.size(); ++i) CHECK(roundings(other[i], stored[i]) <= kRebuilt);
  }
}

std::shared_ptr<InvertibleModule> normed(Writes writes) { return std::make_shared<Normed>(writes); }

constexpr auto kUnwanted =
    "a replay must leave parameters and buffers as it finds them, but it wrote scale; forward must write "
    "only "
    "where Recomputing::active() is false";
constexpr auto kTooLate =
    "forward must write a parameter or buffer before it reads it, so that a replay reads what forward read, "
    "but "
    "it wrote scale afterwards";

}  // namespace

TEST_CASE("what forward writes before it reads it is what a replay reads", "[forward_writes]") {
  for (const Writes writes : {Writes::once, Writes::every_time}) {
    check_trains([&] { return normed(writes); });
    check_trains([&] { return std::make_shared<Nest>(normed(writes)); });
    check_trains([&] {
      return std::make_shared<InvertibleSequence>(
          Modules{make_invertible(Kind::additive), normed(writes), make_invertible(Kind::affine_naive)});
    });
    for (const int implementation : {-1, 0, 1}) {
      check_trains([&] {
        return std::make_shared<AdditiveCoupling>(normed(writes), normed(writes),
                                                  CouplingOptions{.implementation_fwd = implementation});
      });
    }
  }
}

TEST_CASE("two forwards of a module that its first one set", "[forward_writes]") {
  check_trains([] { return normed(Writes::once); }, 2);
  check_trains([] { return std::make_shared<Nest>(normed(Writes::once)); }, 2);
}

TEST_CASE("a second forward that writes again is a change that the first one's backward names",
          "[forward_writes]") {
  for (const auto& [run, name] :
       {std::pair(kWrapped, "InvertibleModuleWrapper"), std::pair(kCheckpointed, "checkpoint")})
    CHECK_THROWS_WITH(
        step([] { return normed(Writes::every_time); }, run, 2),
        "[" + std::string(name) +
            "] parameters, buffers and train/eval mode must be in backward as forward left them, "
            "but scale changed");
}

TEST_CASE("a replay that writes is an error that says so", "[forward_writes]") {
  const Make make = [] { return normed(Writes::in_replays); };
  CHECK_THROWS_WITH(step(make, kWrapped), std::string("[InvertibleModuleWrapper] ") + kUnwanted);
  CHECK_THROWS_WITH(step(make, kKept), std::string("[InvertibleModuleWrapper] ") + kUnwanted);
  CHECK_THROWS_WITH(step(make, kCheckpointed), std::string("[checkpoint] ") + kUnwanted);
}

TEST_CASE("a forward that writes what it has read is an error at once", "[forward_writes]") {
  const Make make = [] { return normed(Writes::after_reading); };
  CHECK_THROWS_WITH(step(make, kWrapped), std::string("[InvertibleModuleWrapper] ") + kTooLate);
  CHECK_THROWS_WITH(step(make, kCheckpointed), std::string("[checkpoint] ") + kTooLate);
  // F, which is G as well, writes for its second run what its first one has read.
  const Make shared = [] {
    const auto both = normed(Writes::every_time);
    return std::make_shared<AdditiveCoupling>(both, both);
  };
  CHECK_THROWS_WITH(
      step(shared, kWrapped),
      "[InvertibleModuleWrapper] forward must write a parameter or buffer before it reads it, so "
      "that a replay reads what forward read, but it wrote F.scale afterwards");
}

TEST_CASE("a buffer may be read and written in training, unless a replay reads it", "[forward_writes]") {
  check_trains([] { return std::make_shared<Watched>(false); });
  for (const auto& [run, name] :
       {std::pair(kWrapped, "InvertibleModuleWrapper"), std::pair(kCheckpointed, "checkpoint")})
    CHECK_THROWS_WITH(
        step([] { return std::make_shared<Watched>(true); }, run),
        "[" + std::string(name) +
            "] forward must write a parameter or buffer before it reads it, so that a replay reads "
            "what forward read, but it wrote mean afterwards");
}
