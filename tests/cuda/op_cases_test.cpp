// The table of op cases on a GPU, or on its kernels as the host layer runs them, against the CPU.
#include "../support/op_cases.h"
#include "../support/catch.h"
#include "../support/rounding.h"
#include "gpu.h"

#include <retrace/autograd/autocast.h>
#include <retrace/autograd/ops.h>
#include <retrace/autograd/tape.h>

#include <algorithm>
#include <optional>

using namespace retrace;
using namespace retrace::test;

namespace {

Tensors on(Device device, const Tensors& inputs) {
  Tensors moved;
  for (const Tensor& x : inputs) moved.push_back(x.to(device, Tag::data));
  return moved;
}

/// How far a row on the GPU may be from the CPU's. A GPU adds in another order: four times as many roundings
/// as a row has on few numbers, in f32, whose sums the CPU computes in f64. In f64 either side's sums round,
/// too. No sum of a row has more terms than its largest tensor has elements, none of them much above 1.
double allowed(const Tensors& inputs, const Outcome& expected, DType dtype) {
  if (dtype != DType::f64) return (is_reduced_float(dtype) ? 1 : 4) * tolerance_of(dtype);
  std::int64_t terms = expected.y.numel();
  for (const Tensor& x : inputs) terms = std::max(terms, x.numel());
  RoundedSum sum;
  for (std::int64_t i = 0; i < terms; ++i) sum += Rounded{1, 1};
  return tolerance_of(dtype) + 2 * unit_roundoff(dtype) * Rounded(sum).error;
}

template <bool kTraining>
Var batch_norm_relu_of(const Vars& x) {
  const DType dtype = wider(x[0].dtype(), DType::f32);
  Tensor mean = beside(x[0], Tensor::zeros({8}, dtype));
  Tensor var = beside(x[0], Tensor::full({8}, 1, dtype));
  return batch_norm_relu(x[0], x[1], x[2], mean, var, {.training = kTraining});
}
Var each_cross_entropy(const Vars& x) {
  return cross_entropy(x[1], x[0].value(), {.reduction = Reduction::none});
}
Var padded_embedding(const Vars& x) { return embedding(x[0].value(), x[1], {.padding_idx = 0}); }

/// Rows whose tensors, masks among them, fill their blocks in f64 and most of them in the others: what a
/// kernel writes beyond the last element is then found by the guards, and so is what it reads there.
std::vector<OpCase> full_block_cases() {
  const InputMaker x = uniform({8, 8, 8});
  const InputMaker lines = uniform({8, 8, 64});
  const InputMaker image = uniform({2, 8, 8, 8});
  const InputMaker channels = uniform({8}, 0.5, 1.5, 2);
  return {
      {"full relu", [](const Vars& v) { return relu(v[0]); }, {x}},
      {"full leaky_relu", [](const Vars& v) { return leaky_relu(v[0], 0.1); }, {x}},
      {"full abs", [](const Vars& v) { return abs(v[0]); }, {x}},
      {"full gelu", [](const Vars& v) { return gelu(v[0]); }, {x}},
      {"full mul", [](const Vars& v) { return v[0] * v[1]; }, {x, x}},
      {"full broadcast", [](const Vars& v) { return v[0] * v[1]; }, {x, channels}},
      {"full slice", [](const Vars& v) { return slice(v[0], 1, 4, 8); }, {x}},
      {"full permute",
       [](const Vars& v) {
         return permute(v[0], {2, 0, 1});
       },
       {x}},
      {"full sum", [](const Vars& v) { return sum(v[0], {1}); }, {x}},
      {"full sum of neighbours", [](const Vars& v) { return sum(v[0], {2}); }, {lines}},
      {"full softmax", [](const Vars& v) { return softmax(v[0], 1); }, {x}},
      {"full softmax of neighbours", [](const Vars& v) { return softmax(v[0]); }, {lines}},
      {"full log_softmax", [](const Vars& v) { return log_softmax(v[0], 1); }, {x}},
      {"full log_softmax of neighbours", [](const Vars& v) { return log_softmax(v[0]); }, {lines}},
      {"full cross_entropy", &each_cross_entropy, {labels({8}, 8), uniform({8, 8})}},
      {"full cross_entropy of many classes", &each_cross_entropy, {labels({8}, 64), uniform({8, 64})}},
      {"full binary_cross_entropy",
       [](const Vars& v) {
         return binary_cross_entropy_with_logits(v[0], v[1].value(), {.reduction = Reduction::none});
       },
       {x, uniform({8, 8, 8}, 0, 1, 2)}},
      {"full dropout", [](const Vars& v) { return dropout(v[0], 0.3); }, {x}},
      {"full embedding", &padded_embedding, {labels({8}, 8), uniform({8, 8})}},
      {"full group_norm",
       [](const Vars& v) { return group_norm(v[0], 2, v[1], v[2]); },
       {x, channels, channels}},
      {"full group_norm of neighbours",
       [](const Vars& v) { return group_norm(v[0], 2, v[1], v[2]); },
       {lines, channels, channels}},
      {"full batch_norm_relu", &batch_norm_relu_of<true>, {image, channels, channels}},
      {"full batch_norm_relu in evaluation", &batch_norm_relu_of<false>, {image, channels, channels}},
      {"full conv2d",
       [](const Vars& v) { return conv2d(v[0], v[1], v[2]); },
       {image, uniform({8, 8, 1, 1}), channels}},
      {"full max_pool2d", [](const Vars& v) { return max_pool2d(v[0], {.kernel = 2}); }, {image}},
      {"full avg_pool2d", [](const Vars& v) { return avg_pool2d(v[0], {.kernel = 2}); }, {image}},
      {"full adaptive_avg_pool2d",
       [](const Vars& v) {
         return adaptive_avg_pool2d(v[0], {4, 4});
       },
       {image}},
  };
}

std::vector<OpCase> cases_for_a_gpu() {
  std::vector<OpCase> rows = all_op_cases();
  for (OpCase& row : full_block_cases()) rows.push_back(std::move(row));
  return rows;
}

}  // namespace

TEST_CASE("op cases: every row on the GPU's kernels is that of the CPU", "[cuda][op]") {
  static const std::vector<OpCase> rows = cases_for_a_gpu();
  const std::optional<Device> found = gpu_or_skip();
  if (!found) return;
  const Device gpu = *found;
  for (const OpCase& op_case : rows) {
    DYNAMIC_SECTION(op_case.name) {
      for (const DType dtype : {DType::f64, DType::f32, DType::bf16, DType::f16}) {
        CAPTURE(name_of(dtype));
        const Autocast scope(autocast_for(dtype));
        const Tensors inputs = make_inputs(op_case, dtype);
        const Outcome expected = run_recorded(op_case, inputs);
        const double tolerance = allowed(inputs, expected, dtype);
        std::optional<Outcome> first;
        for (const gpu_host::Order order : thread_orders()) {
          gpu_host::set_order(order);
          const Outcome got = run_recorded(op_case, on(gpu, inputs));
          CHECK(gpu_host::guards_hold());
          CHECK(got.y.device() == gpu);
          CHECK(got.y.dtype() == expected.y.dtype());
          CHECK(distance(numbers(got.y), numbers(expected.y)) <= tolerance);
          for (std::size_t i = 0; i < inputs.size(); ++i) {
            INFO("input " << i);
            CHECK(distance(numbers(got.gradients[i]), numbers(expected.gradients[i])) <= tolerance);
          }
          if (!first) {
            first = got;
            continue;
          }
          CHECK(numbers(got.y) == numbers(first->y));
          for (std::size_t i = 0; i < inputs.size(); ++i)
            CHECK(numbers(got.gradients[i]) == numbers(first->gradients[i]));
        }
      }
    }
  }
}
