// Chapter 2: the derivative of a vector-valued function, as products with vectors.
#include <retrace/retrace.h>

#include <cmath>
#include <cstdio>

using namespace retrace;

namespace {

// [by-hand]
/// y = tanh(W x), dx = W^T (dy (1 - y^2)). W: [M, K], x: [K] -> [M].
struct ByHand {
  std::vector<std::vector<double>> W;
  std::vector<double> y{};  // the only thing that the way back needs, beside W

  std::vector<double> forward(const std::vector<double>& x) {
    y.clear();
    for (const auto& row : W) {
      double sum = 0;
      for (std::size_t k = 0; k < x.size(); ++k) sum += row[k] * x[k];
      y.push_back(std::tanh(sum));
    }
    return y;
  }

  std::vector<double> backward(const std::vector<double>& dy) const {
    std::vector<double> dx(W.front().size());
    for (std::size_t m = 0; m < y.size(); ++m)
      for (std::size_t k = 0; k < dx.size(); ++k) dx[k] += dy[m] * (1 - y[m] * y[m]) * W[m][k];
    return dx;
  }
};
// [/by-hand]

// [print]
void print(const char* what, const std::vector<double>& numbers) {
  std::printf("%-28s", what);
  for (const double number : numbers) std::printf(" %9.6f", number);
  std::printf("\n");
}
// [/print]

// [library]
/// The same in retrace, from dy to dx: one forward, one backward. linear is x W^T.
std::vector<double> by_tape(const Tensor& W, const Tensor& x, const std::vector<double>& dy) {
  Tape tape;
  const Var v = tape.watch(x);
  const Var y = tanh(linear(v, W));
  tape.backward(y, Tensor::from<double>(dy, y.shape()));
  return tape.grad(v).to_vector<double>();
}
// [/library]

// [own-op]
/// y = x^3;  dx = 3 dy x^2. An operation of one's own: what the way back needs stands in the save list.
Var cube(const Var& x) {
  Tensor y = like(x.value());
  for (std::int64_t i = 0; i < x.value().numel(); ++i) {
    const double v = x.value().data<double>()[i];
    y.mutable_data<double>()[i] = v * v * v;
  }
  return record("cube", {x}, y, /*save=*/{x.value()},
                [](const Tensor& dy, Saved saved, const Wants&) -> Tensors {
                  Tensor dx = like(dy, Tag::gradient);
                  for (std::int64_t i = 0; i < dy.numel(); ++i) {
                    const double v = saved[0].data<double>()[i];
                    dx.mutable_data<double>()[i] = 3 * v * v * dy.data<double>()[i];
                  }
                  return {dx};
                });
}
// [/own-op]

}  // namespace

int main() {
  // [main]
  const Tensor W = Tensor::from<double>({1, 2, -1, 0.5, -1, 0}, {2, 3});
  const Tensor x = Tensor::from<double>({0.1, 0.2, 0.3}, {1, 3});

  ByHand f{{{1, 2, -1}, {0.5, -1, 0}}};
  print("y", f.forward({0.1, 0.2, 0.3}));
  print("row 1 of J: dy = (1, 0)", f.backward({1, 0}));
  print("row 2 of J: dy = (0, 1)", f.backward({0, 1}));
  print("J^T dy for dy = (3, -2)", f.backward({3, -2}));
  print("the same from the tape", by_tape(W, x, {3, -2}));
  // [/main]

  // [check]
  const GradientCheck checked = check_gradient([](const Vars& v) { return cube(v[0]); }, {x});
  std::printf("cube agrees with differences: %s\n", checked ? "yes" : checked.report.c_str());
  // [/check]
  return checked ? 0 : 1;
}
