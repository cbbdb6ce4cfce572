#include "../support/op_cases.h"

#include <retrace/autograd/ops.h>

namespace retrace::test {

namespace {

/// The indices are the first input.
Var embedding_of(const Vars& x) { return embedding(x[0].value(), x[1]); }
Var padded_embedding_of(const Vars& x) { return embedding(x[0].value(), x[1], {.padding_idx = -1}); }

InputMaker table() { return values({3, 2}, {0.5, -1, 2, 3, 4, -5}); }

}  // namespace

std::vector<OpCase> embedding_cases() {
  std::vector<OpCase> rows = {
      {.name = "embedding, literals",
       .function =
           [](const Vars& x) {
             return embedding(beside(x[0], Tensor::from<std::int64_t>({2, 0, 2, 1}, {2, 2})), x[0]);
           },
       .inputs = {table()},
       .expected = {4, -5, 0.5, -1, 4, -5, 2, 3},
       .expected_gradients = {{1, 1, 1, 1, 2, 2}}},
      {.name = "embedding with padding, literals",
       .function =
           [](const Vars& x) {
             return embedding(beside(x[0], Tensor::from<std::int64_t>({2, 0, 2}, {3})), x[0],
                              {.padding_idx = 2});
           },
       .inputs = {table()},
       .expected = {4, -5, 0.5, -1, 4, -5},
       .expected_gradients = {{1, 1, 0, 0, 0, 0}},
       .on_kinks = true},  // the gradient leaves the padding out on purpose
  };
  struct Case {
    Shape indices, table;
  };
  for (const Case& c : {Case{{}, {1, 1}}, Case{{5}, {3, 2}}, Case{{2, 3}, {4, 7}}, Case{{50}, {3, 601}},
                        Case{{6001}, {97, 5}}, Case{{40}, {3001, 17}}}) {
    const std::vector<InputMaker> inputs = {labels(c.indices, c.table[0]), uniform(c.table)};
    const std::string name = text(c.indices, " of ", c.table);
    rows.push_back({.name = "embedding " + name, .function = embedding_of, .inputs = inputs});
    rows.push_back({.name = "embedding with padding " + name,
                    .function = padded_embedding_of,
                    .inputs = inputs,
                    .on_kinks = true});
  }
  return rows;
}

}  // namespace retrace::test
