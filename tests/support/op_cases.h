#pragma once
#include "op_case.h"

namespace retrace::test {

// The rows of each family; tests/autograd/op_cases_<family>.cpp.
std::vector<OpCase> activation_cases();
std::vector<OpCase> batch_norm_cases();
std::vector<OpCase> conv2d_cases();
std::vector<OpCase> copy_cases();
std::vector<OpCase> elementwise_cases();
std::vector<OpCase> embedding_cases();
std::vector<OpCase> group_norm_cases();
std::vector<OpCase> loss_cases();
std::vector<OpCase> matmul_cases();
std::vector<OpCase> pool_cases();
std::vector<OpCase> random_cases();
std::vector<OpCase> reduce_cases();
std::vector<OpCase> softmax_cases();

/// The whole table.
inline std::vector<OpCase> all_op_cases() {
  std::vector<OpCase> all;
  for (const auto family : {
           &activation_cases,
           &batch_norm_cases,
           &conv2d_cases,
           &copy_cases,
           &elementwise_cases,
           &embedding_cases,
           &group_norm_cases,
           &loss_cases,
           &matmul_cases,
           &pool_cases,
           &random_cases,
           &reduce_cases,
           &softmax_cases,
       })
    for (OpCase& op_case : family()) all.push_back(std::move(op_case));
  return all;
}

}  // namespace retrace::test
