#pragma once
#include "op_case.h"

namespace retrace::test {

// The rows of each family; tests/autograd/op_cases_<family>.cpp.
std::vector<OpCase> elementwise_cases();

/// The whole table.
inline std::vector<OpCase> all_op_cases() {
  std::vector<OpCase> all;
  for (const auto family : {
           &elementwise_cases,
       })
    for (OpCase& op_case : family()) all.push_back(std::move(op_case));
  return all;
}

}  // namespace retrace::test
