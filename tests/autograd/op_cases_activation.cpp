#include "../support/op_cases.h"

#include <retrace/autograd/ops.h>

namespace retrace::test {

namespace {

using Unary = Var (*)(const Var&);

/// Away from kinks against differences, and with exact zeros.
void add_rows(std::vector<OpCase>& rows, const std::string& name, Unary op) {
  const auto function = [op](const Vars& x) { return op(x[0]); };
  for (const Shape& shape : {Shape{}, Shape{1}, Shape{7}, Shape{8}, Shape{3, 5, 5}, Shape{5, 3301}})
    rows.push_back({.name = text(name, " ", shape), .function = function, .inputs = {distinct(shape)}});
  for (const Shape& shape : {Shape{3, 7}, Shape{65, 257}})
    rows.push_back({.name = text(name, " ", shape, " with zeros"),
                    .function = function,
                    .inputs = {with_zeros(shape)},
                    .on_kinks = true});
  rows.push_back({.name = text(name, " of tanh [3,7] with zeros"),
                  .function = [op](const Vars& x) { return tanh(op(tanh(x[0]))); },
                  .inputs = {with_zeros({3, 7})},
                  .on_kinks = true});
}

}  // namespace

std::vector<OpCase> activation_cases() {
  std::vector<OpCase> rows = {
      {.name = "relu, literals",
       .function = [](const Vars& x) { return relu(x[0]); },
       .inputs = {values({5}, {-2, 0, 3, -0.0, 1e-30})},
       .expected = {0, 0, 3, 0, 1e-30},
       .expected_gradients = {{0, 0, 1, 0, 1}},
       .on_kinks = true},
      {.name = "leaky_relu, literals",
       .function = [](const Vars& x) { return leaky_relu(x[0]); },
       .inputs = {values({4}, {-2, 0, 3, -0.5})},
       .expected = {-0.02, 0, 3, -0.005},
       .expected_gradients = {{0.01, 0.01, 1, 0.01}},
       .on_kinks = true},
      {.name = "clamp, literals",
       .function = [](const Vars& x) { return clamp(x[0], -1, 2); },
       .inputs = {values({6}, {-2, -1, 0, 1.5, 2, 3})},
       .expected = {-1, -1, 0, 1.5, 2, 2},
       .expected_gradients = {{0, 1, 1, 1, 1, 0}},
       .on_kinks = true},
      {.name = "abs, literals",
       .function = [](const Vars& x) { return abs(x[0]); },
       .inputs = {values({5}, {-2, 0, 3, -0.0, 1e-30})},
       .expected = {2, 0, 3, 0, 1e-30},
       .expected_gradients = {{-1, 0, 1, 0, 1}},
       .on_kinks = true},
  };
  add_rows(rows, "relu", relu);
  add_rows(rows, "abs", abs);
  add_rows(rows, "leaky_relu", [](const Var& x) { return leaky_relu(x, 0.2); });
  add_rows(rows, "clamp", [](const Var& x) { return clamp(x, -0.1, 0); });
  return rows;
}

}  // namespace retrace::test
