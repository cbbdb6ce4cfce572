// Tests of the exercises of chapter 7, compiled with docs/exercises/couplings.h and with the solutions.
#include <couplings.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <exception>
#include <functional>
#include <string>

namespace {

constexpr double kRounding = 1e-12;

/// Linear, tanh, linear in f64, [N, 3] -> [N, 3]; counts how often it runs.
class Branch final : public Module {
 public:
  Branch() : in_(3, 8), out_(8, 3) { to(DType::f64); }
  Var forward(const Var& x) override {
    ++runs;
    return out_(tanh(in_(x)));
  }
  void members(Members& m) override {
    m.module("in", in_);
    m.module("out", out_);
  }
  int runs = 0;

 private:
  std::shared_ptr<Module> copy() const override { return std::make_shared<Branch>(*this); }
  Linear in_;
  Linear out_;
};

Tensor random_tensor(std::uint64_t seed) {
  manual_seed(seed);
  Tensor x({4, 3}, DType::f64);
  init::normal(x);
  return x;
}

double difference(const Tensors& a, const Tensors& b) {
  double largest = a.size() == b.size() ? 0 : 1;
  for (std::size_t t = 0; t < std::min(a.size(), b.size()); ++t)
    for (std::int64_t i = 0; i < a[t].numel(); ++i)
      largest = std::max(largest, std::abs(a[t].data<double>()[i] - b[t].data<double>()[i]));
  return largest;
}

Tensors values(const Vars& x) { return {x[0].value(), x[1].value()}; }

/// The outputs that a loss sees.
enum class Seen { both, second };

/// What a step with loss (|y1|^2 + |y2|^2) / 2 or |y2|^2 / 2 gives: dx of both inputs, then the parameters'
/// gradients.
Tensors gradients(InvertibleModule& module, Seen seen, const std::function<Vars(const Vars&)>& run) {
  module.zero_grad();
  Tape tape;
  const Vars x = {tape.watch(random_tensor(1)), tape.watch(random_tensor(2))};
  const Vars y = run(x);
  if (seen == Seen::both)
    tape.backward(y, {y[0].value().clone(Tag::gradient), y[1].value().clone(Tag::gradient)});
  else
    tape.backward(y[1], y[1].value().clone(Tag::gradient));
  Tensors all = {tape.grad(x[0]), tape.grad(x[1])};
  for (const Parameter* p : module.parameters()) all.push_back(p->grad().clone(Tag::data));
  return all;
}

bool wrapped_as_stored(const std::shared_ptr<InvertibleModule>& module) {
  const auto as_stored = [&](Seen seen) {
    const Tensors stored = gradients(*module, seen, [&](const Vars& x) { return (*module)(x); });
    const Tensors wrapped =
        gradients(*module, seen, [&](const Vars& x) { return InvertibleModuleWrapper(module)(x); });
    return difference(stored, wrapped) < kRounding;
  };
  return as_stored(Seen::both) && as_stored(Seen::second);
}

bool inverts(InvertibleModule& module) {
  const NoTape no_tape;
  const Tensors x = {random_tensor(1), random_tensor(2)};
  const Vars y = module(Vars{x[0], x[1]});
  return difference(values(module.inverse_all(y)), x) < kRounding;
}

struct Additives {
  std::shared_ptr<Branch> F = std::make_shared<Branch>();
  std::shared_ptr<Branch> G = std::make_shared<Branch>();
  std::shared_ptr<Additive> module = std::make_shared<Additive>(F, G);
};

bool each_branch_runs_once_on_the_way_back() {
  const Additives a;
  Tape tape;
  const Vars x = {tape.watch(random_tensor(1)), tape.watch(random_tensor(2))};
  const Vars y = InvertibleModuleWrapper(a.module)(x);
  const int before = a.F->runs + a.G->runs;
  tape.backward(y, {y[0].value().clone(Tag::gradient), y[1].value().clone(Tag::gradient)});
  return a.F->runs + a.G->runs == before + 2;
}

/// Without F, from x = 1 and v = 2 with gamma 0.75: v' = 1.5 and x' = 2.5.
bool momentum_of_numbers() {
  const auto zero = std::make_shared<Branch>();
  for (Parameter* p : zero->parameters()) init::constant(p->value(), 0);
  Momentum block(zero, 0.75);
  const NoTape no_tape;
  const Vars y = block(Vars{Tensor::full({1, 3}, 1, DType::f64), Tensor::full({1, 3}, 2, DType::f64)});
  return difference(values(y),
                    {Tensor::full({1, 3}, 2.5, DType::f64), Tensor::full({1, 3}, 1.5, DType::f64)}) == 0;
}

int failures = 0;

void test(const char* what, const std::function<bool()>& passes) {
  std::string result;
  try {
    result = passes() ? "ok" : "WRONG";
  } catch (const std::exception& error) {
    result = error.what();
  }
  failures += result == "ok" ? 0 : 1;
  std::printf("%-58s %s\n", what, result.c_str());
}

}  // namespace

int main() {
  const Additives a;
  const auto momentum = std::make_shared<Momentum>(std::make_shared<Branch>(), 0.9);
  test("1 the inverse gives x back", [&] { return inverts(*a.module); });
  test("1 wrapped, all gradients are those of the stored step", [&] { return wrapped_as_stored(a.module); });
  test("2 on the way back F and G run once each", each_branch_runs_once_on_the_way_back);
  test("3 one step without F, in numbers", momentum_of_numbers);
  test("3 the inverse gives x and v back", [&] { return inverts(*momentum); });
  test("3 wrapped, all gradients are those of the stored step", [&] { return wrapped_as_stored(momentum); });
  std::printf("%d of 6 to go\n", failures);
  return failures == 0 ? 0 : 1;
}
