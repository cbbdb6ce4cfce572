// One additive coupling by hand: forward, inverse, and backward without stored activations, number by number.
#include <retrace/retrace.h>

#include <cstdio>

using namespace retrace;

namespace {

// F(v) = tanh(a v), with a derivative that can be checked on paper: dF/dv = a (1 - F^2), dF/da = v (1 - F^2).
struct Function {
  Parameter a;
  explicit Function(double value) : a(Tensor::from<double>({value}, {1})) {}
  Var operator()(const Var& v) { return tanh(Var(a) * v); }
};

double number(const Tensor& x) { return x.item(); }
Tensor tensor(double x) { return Tensor::from<double>({x}, {1}); }

}  // namespace

int main() {
  Function F(0.5);
  Function G(-0.8);
  const double x1 = 1.0;
  const double x2 = 2.0;

  // 1. Forward, on no tape: nothing is kept but y1 and y2.
  const double y1 = x1 + number(F(tensor(x2)).value());
  const double y2 = x2 + number(G(tensor(y1)).value());
  std::printf("forward   y1 = x1 + F(x2) = %+.6f   y2 = x2 + G(y1) = %+.6f\n", y1, y2);

  // 2. The loss is (y1^2 + y2^2) / 2, so dy1 = y1 and dy2 = y2.
  const double dy1 = y1;
  const double dy2 = y2;

  // 3. Rebuild x2 with G(y1); the same evaluation, on a tape of its own, gives the derivative of G.
  double rebuilt_x2 = 0;
  double dx1 = 0;
  {
    Tape tape;
    const Var v = tape.watch(tensor(y1));
    const Var g = G(v);
    rebuilt_x2 = y2 - number(g.value());
    tape.backward(g, tensor(dy2));
    dx1 = dy1 + number(tape.grad(v));
  }
  // 4. Rebuild x1 with F(x2), likewise.
  double rebuilt_x1 = 0;
  double dx2 = 0;
  {
    Tape tape;
    const Var v = tape.watch(tensor(rebuilt_x2));
    const Var f = F(v);
    rebuilt_x1 = y1 - number(f.value());
    tape.backward(f, tensor(dx1));
    dx2 = dy2 + number(tape.grad(v));
  }
  std::printf("inverse   x1 = %+.6f (error %.1e)   x2 = %+.6f (error %.1e)\n", rebuilt_x1, rebuilt_x1 - x1,
              rebuilt_x2, rebuilt_x2 - x2);
  std::printf("backward  dx1 = %+.6f   dx2 = %+.6f   da_F = %+.6f   da_G = %+.6f\n", dx1, dx2,
              number(F.a.grad()), number(G.a.grad()));

  // 5. The same with every activation stored.
  F.a.zero_grad();
  G.a.zero_grad();
  Tape tape;
  const Var u1 = tape.watch(tensor(x1));
  const Var u2 = tape.watch(tensor(x2));
  const Var v1 = u1 + F(u2);
  const Var v2 = u2 + G(v1);
  tape.backward((v1 * v1 + v2 * v2) * 0.5);
  std::printf("stored    dx1 = %+.6f   dx2 = %+.6f   da_F = %+.6f   da_G = %+.6f\n", number(tape.grad(u1)),
              number(tape.grad(u2)), number(F.a.grad()), number(G.a.grad()));
}
