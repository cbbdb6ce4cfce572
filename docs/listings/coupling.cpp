// Chapter 3: one additive coupling in five steps, beside what the library does.
#include <retrace/retrace.h>

#include <algorithm>
#include <cmath>
#include <cstdio>

using namespace retrace;

namespace {

// [functions]
/// v: [N, 2] -> [N, 2]. Any function will do: nothing below inverts it.
std::shared_ptr<Module> small_network() {
  auto network = std::make_shared<Sequential>(std::make_shared<Linear>(2, 8), std::make_shared<Tanh>(),
                                              std::make_shared<Linear>(8, 2));
  network->to(DType::f64);
  return network;
}
// [/functions]

// [streams]
struct Streams {
  Tensor first;   // [N, 2]
  Tensor second;  // [N, 2]
};

/// a + b and a - b of plain tensors: nothing is recorded.
Tensor plus(const Tensor& a, const Tensor& b) {
  const NoTape no_tape;
  return (Var(a) + Var(b)).value();
}
Tensor minus(const Tensor& a, const Tensor& b) {
  const NoTape no_tape;
  return (Var(a) - Var(b)).value();
}
// [/streams]

double largest_difference(const Tensor& a, const Tensor& b) {
  double largest = 0;
  for (std::int64_t i = 0; i < a.numel(); ++i)
    largest = std::max(largest, std::abs(a.data<double>()[i] - b.data<double>()[i]));
  return largest;
}

// [forward]
/// y1 = x1 + F(x2), y2 = x2 + G(y1). Without a tape nothing is kept but what is returned.
Streams forward(Module& F, Module& G, const Streams& x) {
  const NoTape no_tape;
  const Tensor y1 = plus(x.first, F(Var(x.second)).value());
  const Tensor y2 = plus(x.second, G(Var(y1)).value());
  return {y1, y2};
}
// [/forward]

// [inverse]
/// x2 = y2 - G(y1), x1 = y1 - F(x2): the same two evaluations, in the opposite order.
Streams inverse(Module& F, Module& G, const Streams& y) {
  const NoTape no_tape;
  const Tensor x2 = minus(y.second, G(Var(y.first)).value());
  const Tensor x1 = minus(y.first, F(Var(x2)).value());
  return {x1, x2};
}
// [/inverse]

// [backward]
struct Rebuilt {
  Streams x;
  Streams dx;
};

/// From (y, dy) to (x, dx). Each function runs once: for its value, which rebuilds a stream, and on a tape of
/// its own, which is differentiated and dropped before the next begins.
Rebuilt backward(Module& F, Module& G, const Streams& y, const Streams& dy) {
  Rebuilt r;
  {
    Tape tape;
    const Var v = tape.watch(y.first);
    const Var g = G(v);
    r.x.second = minus(y.second, g.value());  // x2 = y2 - G(y1)
    tape.backward(g, dy.second);
    r.dx.first = plus(dy.first, tape.grad(v));  // dx1 = dy1 + (dG/dy1)^T dy2
  }
  {
    Tape tape;
    const Var v = tape.watch(r.x.second);
    const Var f = F(v);
    r.x.first = minus(y.first, f.value());  // x1 = y1 - F(x2)
    tape.backward(f, r.dx.first);
    r.dx.second = plus(dy.second, tape.grad(v));  // dx2 = dy2 + (dF/dx2)^T dx1
  }
  return r;
}
// [/backward]

// [library]
/// What the library computes.
struct ByLibrary {
  std::vector<Tensor> dx;
  std::vector<Tensor> parameter_gradients;
};

/// A copy of each parameter's gradient, which is then forgotten.
std::vector<Tensor> take_gradients(Module& coupling) {
  std::vector<Tensor> gradients;
  for (Parameter* p : coupling.parameters()) gradients.push_back(p->grad().clone(Tag::data));
  coupling.zero_grad();
  return gradients;
}

/// The library's step through the same F and G: stored, or with a wrapper that forgets x1 and x2.
ByLibrary by_library(const std::shared_ptr<AdditiveCoupling>& coupling, bool wrapped, const Streams& x,
                     const Streams& dy) {
  Tape tape;
  // Copies, because a wrapper forgets its inputs.
  const Vars inputs = {tape.watch(x.first.clone(Tag::activation)),
                       tape.watch(x.second.clone(Tag::activation))};
  const Vars y = wrapped ? InvertibleModuleWrapper(coupling)(inputs) : (*coupling)(inputs);
  std::printf("%-9s the tape keeps %4lld bytes; x1 is %s\n",
              wrapped ? "wrapped:" : "stored:", static_cast<long long>(tape.saved_bytes()),
              inputs[0].value().storage().released() ? "forgotten" : "kept");
  tape.backward(y, {dy.first, dy.second});
  return {{tape.grad(inputs[0]), tape.grad(inputs[1])}, take_gradients(*coupling)};
}
// [/library]

bool agree(const char* what, const std::vector<Tensor>& a, const std::vector<Tensor>& b) {
  double largest = 0;
  for (std::size_t i = 0; i < a.size(); ++i) largest = std::max(largest, largest_difference(a[i], b[i]));
  std::printf("%-36s %s\n", what, largest < 1e-14 ? "equal up to 1e-14" : "DIFFERENT");
  return largest < 1e-14;
}

}  // namespace

int main() {
  // [main]
  manual_seed(1);
  const auto F = small_network();
  const auto G = small_network();
  const auto coupling = std::make_shared<AdditiveCoupling>(F, G);
  Streams x{Tensor({3, 2}, DType::f64), Tensor({3, 2}, DType::f64)};
  init::normal(x.first);
  init::normal(x.second);

  const Streams y = forward(*F, *G, x);          // 1. forward
  const Streams back = inverse(*F, *G, y);       // 2. inverse
  const Streams dy = y;                          // 3. derive: L = (|y1|^2 + |y2|^2) / 2
  const Rebuilt hand = backward(*F, *G, y, dy);  // 4. backward, by hand
  const auto hand_parameters = take_gradients(*coupling);
  const ByLibrary stored = by_library(coupling, false, x, dy);  // 5. compare
  const ByLibrary wrapped = by_library(coupling, true, x, dy);
  // [/main]

  const std::vector<Tensor> hand_dx = {hand.dx.first, hand.dx.second};
  bool ok = agree("inverse(forward(x)) and x", {back.first, back.second}, {x.first, x.second});
  ok &= agree("x rebuilt on the way back and x", {hand.x.first, hand.x.second}, {x.first, x.second});
  ok &= agree("dx by hand and stored", hand_dx, stored.dx);
  ok &= agree("dx by hand and wrapped", hand_dx, wrapped.dx);
  ok &= agree("parameters, by hand and stored", hand_parameters, stored.parameter_gradients);
  ok &= agree("parameters, by hand and wrapped", hand_parameters, wrapped.parameter_gradients);
  return ok ? 0 : 1;
}
