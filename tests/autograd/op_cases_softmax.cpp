#include "../support/op_cases.h"

#include <retrace/autograd/ops.h>

namespace retrace::test {

namespace {

/// cross_entropy with its labels as the second input.
Var cross_entropy_of(const Vars& x) { return cross_entropy(x[0], x[1].value()); }

}  // namespace

std::vector<OpCase> softmax_cases() {
  std::vector<OpCase> rows = {
      {.name = "softmax, literals",
       .function = [](const Vars& x) { return softmax(x[0]); },
       .inputs = {values({2, 2}, {0, 1.0986122886681098, 1000, 1000})},
       .expected = {0.25, 0.75, 0.5, 0.5},
       .expected_gradients = {{0, 0, 0, 0}}},
      {.name = "log_softmax, literals",
       .function = [](const Vars& x) { return log_softmax(x[0]); },
       .inputs = {values({2, 2}, {0, 1.0986122886681098, -1000, 1000})},
       .expected = {-1.3862943611198906, -0.28768207245178093, -2000, 0},
       .expected_gradients = {{0.5, -0.5, 1, -1}}},
      {.name = "cross_entropy, literals",
       .function =
           [](const Vars& x) {
             return cross_entropy(x[0], Tensor::from<std::int64_t>({1, 0}, {2}));
           },
       .inputs = {values({2, 2}, {0, 1.0986122886681098, 0, 0})},
       .expected = {0.49041462650586315},
       .expected_gradients = {{0.125, -0.125, -0.25, 0.25}}},
      {.name = "mse_loss, literals",
       .function = [](const Vars& x) { return mse_loss(x[0], x[1]); },
       .inputs = {values({2}, {1, 5}), values({2}, {3, 4})},
       .expected = {2.5},
       .expected_gradients = {{-2, 1}, {2, -1}}},
      {.name = "mse_loss [3,7]",
       .function = [](const Vars& x) { return mse_loss(x[0], x[1]); },
       .inputs = {uniform({3, 7}, -1, 1, 1), uniform({3, 7}, -1, 1, 2)}},
      {.name = "cross_entropy [1,1]",
       .function = cross_entropy_of,
       .inputs = {uniform({1, 1}), labels({1}, 1)}},
      {.name = "cross_entropy [7,5]",
       .function = cross_entropy_of,
       .inputs = {uniform({7, 5}, -3, 3), labels({7}, 5)}},
      {.name = "cross_entropy [3001,10]",
       .function = cross_entropy_of,
       .inputs = {uniform({3001, 10}, -3, 3), labels({3001}, 10)}},
  };
  struct Case {
    Shape x;
    int dim;
  };
  for (const Case& c :
       {Case{{1}, 0}, Case{{3, 5}, -1}, Case{{3, 5}, 0}, Case{{2, 4, 3}, 1}, Case{{1301, 17}, 1}}) {
    const std::string name = text(c.x, " dim ", c.dim);
    rows.push_back({.name = text("softmax ", name),
                    .function = [dim = c.dim](const Vars& x) { return softmax(x[0], dim); },
                    .inputs = {uniform(c.x, -2, 2)}});
    rows.push_back({.name = text("log_softmax ", name),
                    .function = [dim = c.dim](const Vars& x) { return log_softmax(x[0], dim); },
                    .inputs = {uniform(c.x, -2, 2)}});
  }
  return rows;
}

}  // namespace retrace::test
