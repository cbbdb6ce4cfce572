#include "../support/op_cases.h"

#include <retrace/autograd/ops.h>

namespace retrace::test {

std::vector<OpCase> elementwise_cases() {
  const auto tanh_of = [](const Vars& x) { return tanh(x[0]); };
  return {
      {.name = "tanh [3], literals",
       .function = tanh_of,
       .inputs = {values({3}, {0, 1, -2})},
       .expected = {0, 0.76159415595576489, -0.96402758007581690},
       .expected_gradients = {{1, 0.41997434161402606, 0.070650824853164432}}},
      {.name = "tanh [3,1,5]", .function = tanh_of, .inputs = {uniform({3, 1, 5}, -3, 3)}},
      {.name = "tanh [16399]", .function = tanh_of, .inputs = {uniform({16399})}},
  };
}

}  // namespace retrace::test
