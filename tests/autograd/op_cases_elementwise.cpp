#include "../support/op_cases.h"

#include <retrace/autograd/ops.h>

namespace retrace::test {

namespace {

using Binary = Var (*)(const Var&, const Var&);
using Unary = Var (*)(const Var&);

/// Both broadcasting directions, odd extents, one element, scalars and more elements than one task takes.
void add_binary(std::vector<OpCase>& rows, const std::string& name, Binary op) {
  struct Pair {
    Shape x, y;
  };
  const std::vector<Pair> pairs = {
      {{2, 3, 5}, {2, 3, 5}},
      {{2, 3, 5}, {5}},
      {{3}, {4, 3}},
      {{2, 3, 2, 2}, {1, 3, 1, 1}},
      {{1, 3, 1, 1}, {2, 3, 2, 2}},
      {{3, 1}, {1, 4}},
      {{}, {7}},
      {{2, 3}, {}},
      {{1}, {1}},
      {{}, {}},
      {{3, 1, 2}, {1, 5, 1}},
      {{16399}, {16399}},
      {{3, 5, 33, 41}, {1, 5, 1, 1}},
      {{5, 41, 1}, {5, 41, 97}},
  };
  for (const Pair& pair : pairs)
    rows.push_back({.name = text(name, " ", pair.x, " ", pair.y),
                    .function = [op](const Vars& x) { return op(x[0], x[1]); },
                    .inputs = {uniform(pair.x, 0.5, 2, 1), uniform(pair.y, 0.5, 2, 2)}});
  rows.push_back({.name = text(name, " of one and the same [3]"),
                  .function = [op](const Vars& x) { return op(x[0], x[0]); },
                  .inputs = {uniform({3}, 0.5, 2)}});
}

void add_unary(std::vector<OpCase>& rows, const std::string& name, Unary op, double low, double high) {
  for (const Shape& shape : {Shape{}, Shape{1}, Shape{3, 1, 5}, Shape{16399}})
    rows.push_back({.name = text(name, " ", shape),
                    .function = [op](const Vars& x) { return op(x[0]); },
                    .inputs = {uniform(shape, low, high)}});
}

std::vector<OpCase> literals() {
  return {
      {.name = "add, literals",
       .function = [](const Vars& x) { return x[0] + x[1]; },
       .inputs = {values({2, 2}, {1, 2, 3, 4}), values({2}, {10, 20})},
       .expected = {11, 22, 13, 24},
       .expected_gradients = {{1, 1, 1, 1}, {2, 2}}},
      {.name = "sub, literals",
       .function = [](const Vars& x) { return x[0] - x[1]; },
       .inputs = {values({2}, {10, 20}), values({2, 2}, {1, 2, 3, 4})},
       .expected = {9, 18, 7, 16},
       .expected_gradients = {{2, 2}, {-1, -1, -1, -1}}},
      {.name = "mul, literals",
       .function = [](const Vars& x) { return x[0] * x[1]; },
       .inputs = {values({2, 2}, {1, 2, 3, 4}), values({2, 1}, {10, 0})},
       .expected = {10, 20, 0, 0},
       .expected_gradients = {{10, 10, 0, 0}, {3, 7}}},
      {.name = "div, literals",
       .function = [](const Vars& x) { return x[0] / x[1]; },
       .inputs = {values({2}, {1, 3}), values({2}, {2, 4})},
       .expected = {0.5, 0.75},
       .expected_gradients = {{0.5, 0.25}, {-0.25, -0.1875}}},
      {.name = "exp, literals",
       .function = [](const Vars& x) { return exp(x[0]); },
       .inputs = {values({2}, {0, 1})},
       .expected = {1, 2.7182818284590452},
       .expected_gradients = {{1, 2.7182818284590452}}},
      {.name = "log, literals",
       .function = [](const Vars& x) { return log(x[0]); },
       .inputs = {values({2}, {1, 2})},
       .expected = {0, 0.69314718055994531},
       .expected_gradients = {{1, 0.5}}},
      {.name = "sqrt, literals",
       .function = [](const Vars& x) { return sqrt(x[0]); },
       .inputs = {values({2}, {4, 0.25})},
       .expected = {2, 0.5},
       .expected_gradients = {{0.25, 1}}},
      {.name = "square, literals",
       .function = [](const Vars& x) { return square(x[0]); },
       .inputs = {values({3}, {-3, 0, 0.5})},
       .expected = {9, 0, 0.25},
       .expected_gradients = {{-6, 0, 1}}},
      {.name = "tanh, literals",
       .function = [](const Vars& x) { return tanh(x[0]); },
       .inputs = {values({3}, {0, 1, -2})},
       .expected = {0, 0.76159415595576489, -0.96402758007581690},
       .expected_gradients = {{1, 0.41997434161402606, 0.070650824853164432}}},
      {.name = "sigmoid, literals",
       .function = [](const Vars& x) { return sigmoid(x[0]); },
       .inputs = {values({4}, {0, 1, -800, 800})},
       .expected = {0.5, 0.73105857863000488, 0, 1},
       .expected_gradients = {{0.25, 0.19661193324148185, 0, 0}}},
      // The literals of gelu and silu are PyTorch's, of f64.
      {.name = "gelu, literals",
       .function = [](const Vars& x) { return gelu(x[0]); },
       .inputs = {values({6}, {-5, -1, 0, 0.5, 3, -40})},
       .expected = {-1.4332578593401202e-06, -0.15865525393145702, 0, 0.34573123063700656, 2.99595030590511,
                    0},
       .expected_gradients = {{-7.1469460018034646e-06, -0.08331547058768635, 0.5, 0.8674951246561629,
                               1.011945647204184, 0}}},
      {.name = "gelu through tanh, literals",
       .function = [](const Vars& x) { return gelu(x[0], GeluApproximation::tanh); },
       .inputs = {values({6}, {-5, -1, 0, 0.5, 3, -40})},
       .expected = {-2.2917961972623857e-07, -0.15880800939172324, 0, 0.34571400982514394, 2.996362607918227,
                    0},
       .expected_gradients = {{-1.5463619879596227e-06, -0.08296408384578252, 0.5, 0.8673699035346424,
                               1.0115841666309695, 0}}},
      {.name = "silu, literals",
       .function = [](const Vars& x) { return silu(x[0]); },
       .inputs = {values({7}, {-5, -1, 0, 0.5, 3, -800, 800})},
       .expected = {-0.03346425462142428, -0.2689414213699951, 0, 0.3112296656009273, 2.8577223804672998, 0,
                    800},
       .expected_gradients = {{-0.026547432429665917, 0.07232948812851325, 0.5, 0.7399611873026519,
                               1.0881041060151693, 0, 1}}},
  };
}

/// The operators with a number on either side.
std::vector<OpCase> with_numbers() {
  const auto row = [](std::string name, Unary op, std::vector<double> expected,
                      std::vector<double> gradient) {
    return OpCase{.name = std::move(name),
                  .function = [op](const Vars& x) { return op(x[0]); },
                  .inputs = {values({2}, {2, -4})},
                  .expected = std::move(expected),
                  .expected_gradients = {std::move(gradient)}};
  };
  return {
      row("x + 1.5", [](const Var& x) { return x + 1.5; }, {3.5, -2.5}, {1, 1}),
      row("1.5 + x", [](const Var& x) { return 1.5 + x; }, {3.5, -2.5}, {1, 1}),
      row("x - 1.5", [](const Var& x) { return x - 1.5; }, {0.5, -5.5}, {1, 1}),
      row("1.5 - x", [](const Var& x) { return 1.5 - x; }, {-0.5, 5.5}, {-1, -1}),
      row("x * 3", [](const Var& x) { return x * 3; }, {6, -12}, {3, 3}),
      row("3 * x", [](const Var& x) { return 3 * x; }, {6, -12}, {3, 3}),
      row("x / 8", [](const Var& x) { return x / 8; }, {0.25, -0.5}, {0.125, 0.125}),
      row("8 / x", [](const Var& x) { return 8 / x; }, {4, -2}, {-2, -0.5}),
      row("-x", [](const Var& x) { return -x; }, {-2, 4}, {-1, -1}),
  };
}

}  // namespace

std::vector<OpCase> elementwise_cases() {
  std::vector<OpCase> rows = literals();
  for (OpCase& row : with_numbers()) rows.push_back(std::move(row));
  add_binary(rows, "add", add);
  add_binary(rows, "sub", sub);
  add_binary(rows, "mul", mul);
  add_binary(rows, "div", div);
  add_unary(rows, "exp", exp, -2, 2);
  add_unary(rows, "log", log, 0.5, 3);
  add_unary(rows, "sqrt", sqrt, 0.5, 3);
  add_unary(rows, "square", square, -2, 2);
  add_unary(rows, "tanh", tanh, -3, 3);
  add_unary(rows, "sigmoid", sigmoid, -3, 3);
  add_unary(rows, "silu", silu, -3, 3);
  add_unary(
      rows, "gelu", [](const Var& x) { return gelu(x); }, -3, 3);
  add_unary(
      rows, "gelu through tanh", [](const Var& x) { return gelu(x, GeluApproximation::tanh); }, -3, 3);
  rows.push_back({.name = "scale_shift [16399]",
                  .function = [](const Vars& x) { return scale_shift(x[0], -0.5, 3); },
                  .inputs = {uniform({16399})}});
  return rows;
}

}  // namespace retrace::test
