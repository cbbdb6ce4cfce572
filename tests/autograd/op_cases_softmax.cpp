#include "../support/op_cases.h"

#include <retrace/autograd/ops.h>

namespace retrace::test {

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
