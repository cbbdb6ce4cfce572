#include "../support/op_cases.h"

#include <retrace/autograd/ops.h>

namespace retrace::test {

std::vector<OpCase> random_cases() {
  std::vector<OpCase> rows = {
      {.name = "dropout in evaluation",
       .function = [](const Vars& x) { return dropout(x[0] * 1.0, 0.5, false); },
       .inputs = {values({2}, {1, 2})},
       .expected = {1, 2},
       .expected_gradients = {{1, 1}}},
      {.name = "dropout of everything",
       .function = [](const Vars& x) { return dropout(x[0], 1); },
       .inputs = {values({2}, {1, 2})},
       .expected = {0, 0},
       .expected_gradients = {{0, 0}}},
      {.name = "dropout twice",
       .function = [](const Vars& x) { return dropout(dropout(x[0], 0.3), 0.3); },
       .inputs = {uniform({5, 9})}},
  };
  for (const Shape& shape : {Shape{1}, Shape{3, 7}, Shape{5, 3301}})
    rows.push_back({.name = text("dropout ", shape),
                    .function = [](const Vars& x) { return dropout(x[0], 0.3); },
                    .inputs = {uniform(shape, 0.5, 1)}});
  return rows;
}

}  // namespace retrace::test
