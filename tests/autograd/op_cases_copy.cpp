#include "../support/op_cases.h"

#include <retrace/autograd/ops.h>

namespace retrace::test {

namespace {

std::vector<OpCase> slices() {
  struct Case {
    Shape x;
    int dim;
    std::int64_t begin, end, step;
  };
  const std::vector<Case> cases = {
      {{7}, 0, 2, 5, 1},
      {{7}, 0, 0, 7, 3},
      {{3, 6}, 1, 1, 6, 2},
      {{2, 6, 2, 2}, 1, 0, 6, 2},
      {{2, 6, 2, 2}, 1, 1, 6, 2},
      {{2, 6, 2, 2}, -1, 0, 1, 1},
      {{4, 3}, 0, 1, 3, 1},
      {{4, 3}, 0, 0, 4, 1},
      {{2, 3}, 1, 0, 3, 1},
      {{1}, 0, 0, 1, 1},
      {{3, 8, 27, 31}, 1, 1, 8, 2},
      {{40001}, 0, 1, 40001, 2},
  };
  std::vector<OpCase> rows;
  for (const Case& c : cases)
    rows.push_back(
        {.name = text("slice ", c.x, " dim ", c.dim, " ", c.begin, ":", c.end, ":", c.step),
         .function = [c](const Vars& x) { return slice(square(x[0]), c.dim, c.begin, c.end, c.step); },
         .inputs = {uniform(c.x)}});
  rows.push_back({.name = "slice, literals",
                  .function = [](const Vars& x) { return slice(x[0], 1, 1, 4, 2); },
                  .inputs = {values({2, 4}, {0, 1, 2, 3, 4, 5, 6, 7})},
                  .expected = {1, 3, 5, 7},
                  .expected_gradients = {{0, 1, 0, 1, 0, 1, 0, 1}}});
  return rows;
}

std::vector<OpCase> permutations() {
  std::vector<OpCase> rows = {
      {.name = "permute, literals",
       .function =
           [](const Vars& x) {
             return permute(x[0], {1, 0});
           },
       .inputs = {values({2, 3}, {1, 2, 3, 4, 5, 6})},
       .expected = {1, 4, 2, 5, 3, 6},
       .expected_gradients = {{1, 1, 1, 1, 1, 1}}},
      {.name = "transpose [2,3,4] 0 -1",
       .function = [](const Vars& x) { return transpose(x[0], 0, -1); },
       .inputs = {uniform({2, 3, 4})}},
  };
  struct Case {
    Shape x;
    std::vector<int> dims;
  };
  const std::vector<Case> cases = {
      {{}, {}},
      {{1}, {0}},
      {{2, 3, 4}, {2, 0, 1}},
      {{2, 3, 4, 5}, {0, -2, -1, 1}},
      {{131, 137}, {1, 0}},
      {{3, 37, 11, 17}, {0, 2, 3, 1}},
  };
  for (const Case& c : cases) {
    std::string name = text("permute ", c.x, " to");
    for (const int dim : c.dims) name += text(" ", dim);
    rows.push_back({.name = name,
                    .function = [c](const Vars& x) { return permute(x[0], c.dims); },
                    .inputs = {uniform(c.x)}});
  }
  return rows;
}

std::vector<OpCase> parts() {
  return {
      {.name = "split into parts [2,6,2] dim 1",
       .function =
           [](const Vars& x) {
             const Vars y = split(x[0], 2, 1);
             return y[0] * square(y[1]);
           },
       .inputs = {uniform({2, 6, 2})}},
      {.name = "split into sizes [2,6] dim -1",
       .function =
           [](const Vars& x) {
             const Vars y = split(x[0], {1, 2, 3}, -1);
             return sum(y[0]) + sum(square(y[1])) * sum(y[2]);
           },
       .inputs = {uniform({2, 6})}},
      {.name = "split, one part unused [4,3] dim 0",
       .function = [](const Vars& x) { return split(square(x[0]), 2)[1]; },
       .inputs = {uniform({4, 3})}},
      {.name = "split and concatenate again, literals",
       .function =
           [](const Vars& x) {
             const Vars y = split(x[0], 2, 1);
             return concatenate({y[1] * 3.0, y[0]}, 1);
           },
       .inputs = {values({2, 4}, {0, 1, 2, 3, 4, 5, 6, 7})},
       .expected = {6, 9, 0, 1, 18, 21, 4, 5},
       .expected_gradients = {{1, 1, 3, 3, 1, 1, 3, 3}}},
      {.name = "split [3,10,29,31] dim 1",
       .function =
           [](const Vars& x) {
             const Vars y = split(x[0], 2, 1);
             return y[0] * y[1];
           },
       .inputs = {uniform({3, 10, 29, 31})}},
      {.name = "concatenate [2,1,3] [2,2,3] dim 1",
       .function =
           [](const Vars& x) {
             return concatenate({x[0], x[1]}, 1);
           },
       .inputs = {uniform({2, 1, 3}, -1, 1, 1), uniform({2, 2, 3}, -1, 1, 2)}},
      {.name = "concatenate [1,3] [2,3] twice, dim 0",
       .function =
           [](const Vars& x) {
             return square(concatenate({x[0], x[1], x[0]}));
           },
       .inputs = {uniform({1, 3}, -1, 1, 1), uniform({2, 3}, -1, 1, 2)}},
      {.name = "concatenate [130,64] [130,65] dim -1",
       .function = [](const Vars& x) { return concatenate(x, -1); },
       .inputs = {uniform({130, 64}, -1, 1, 1), uniform({130, 65}, -1, 1, 2)}},
      {.name = "reshape [2,6] to [3,4]",
       .function =
           [](const Vars& x) {
             return square(reshape(x[0], {3, 4}));
           },
       .inputs = {uniform({2, 6})}},
      {.name = "reshape of a result",
       .function = [](const Vars& x) { return square(reshape(tanh(x[0]), {})); },
       .inputs = {uniform({1, 1})}},
      {.name = "flatten [2,3,2,2]",
       .function = [](const Vars& x) { return square(flatten(x[0])); },
       .inputs = {uniform({2, 3, 2, 2})}},
      {.name = "flatten [2,3,2,2] 0 to -2",
       .function = [](const Vars& x) { return square(flatten(x[0], 0, -2)); },
       .inputs = {uniform({2, 3, 2, 2})}},
      {.name = "reshape [2,6] to [-1,4]",
       .function =
           [](const Vars& x) {
             return square(reshape(x[0], {-1, 4}));
           },
       .inputs = {uniform({2, 6})}},
  };
}

}  // namespace

std::vector<OpCase> copy_cases() {
  std::vector<OpCase> rows = slices();
  for (const auto& family : {permutations(), parts()}) rows.insert(rows.end(), family.begin(), family.end());
  return rows;
}

}  // namespace retrace::test
