#include "../support/op_cases.h"

#include <retrace/autograd/ops.h>

namespace retrace::test {

std::vector<OpCase> reduce_cases() {
  std::vector<OpCase> rows = {
      {.name = "sum, literals",
       .function = [](const Vars& x) { return sum(x[0]); },
       .inputs = {values({2, 2}, {1, 2, 3, 4.5})},
       .expected = {10.5},
       .expected_gradients = {{1, 1, 1, 1}}},
      {.name = "mean, literals",
       .function = [](const Vars& x) { return mean(x[0]); },
       .inputs = {values({2, 2}, {1, 2, 3, 4})},
       .expected = {2.5},
       .expected_gradients = {{0.25, 0.25, 0.25, 0.25}}},
      {.name = "sum of columns, literals",
       .function = [](const Vars& x) { return sum(x[0], {0}); },
       .inputs = {values({2, 3}, {1, 2, 3, 4, 5, 6})},
       .expected = {5, 7, 9},
       .expected_gradients = {{1, 1, 1, 1, 1, 1}}},
      {.name = "mean of rows, literals",
       .function = [](const Vars& x) { return mean(x[0], {-1}); },
       .inputs = {values({2, 4}, {1, 2, 3, 4, 5, 6, 7, 8})},
       .expected = {2.5, 6.5},
       .expected_gradients = {std::vector<double>(8, 0.25)}},
  };
  struct Case {
    Shape x;
    std::vector<int> dims;
  };
  const std::vector<Case> cases = {
      {{1}, {0}},          {{5, 3}, {0, 1}},        {{2, 3, 4, 5}, {0, 2, 3}},
      {{2, 3, 4, 5}, {1}}, {{2, 3, 4, 5}, {-1, 1}}, {{2, 1, 4}, {1}},
      {{130, 131}, {0}},   {{7, 2401}, {-1}},       {{5, 3, 29, 41}, {0, 2, 3}},
  };
  for (const Case& c : cases) {
    std::string name = text(c.x, " over");
    for (const int dim : c.dims) name += text(" ", dim);
    for (const bool keepdim : {false, true}) {
      const char* kept = keepdim ? ", kept" : "";
      rows.push_back(
          {.name = text("sum ", name, kept),
           .function = [dims = c.dims, keepdim](const Vars& x) { return sum(square(x[0]), dims, keepdim); },
           .inputs = {uniform(c.x)}});
      rows.push_back(
          {.name = text("mean ", name, kept),
           .function = [dims = c.dims, keepdim](const Vars& x) { return mean(square(x[0]), dims, keepdim); },
           .inputs = {uniform(c.x)}});
    }
  }
  for (const Shape& shape : {Shape{}, Shape{3, 5}, Shape{3, 11003}}) {
    rows.push_back({.name = text("sum ", shape),
                    .function = [](const Vars& x) { return sum(square(x[0])); },
                    .inputs = {uniform(shape)}});
    rows.push_back({.name = text("mean ", shape),
                    .function = [](const Vars& x) { return mean(square(x[0])); },
                    .inputs = {uniform(shape)}});
  }
  return rows;
}

}  // namespace retrace::test
