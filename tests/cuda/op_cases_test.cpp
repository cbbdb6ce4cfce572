// The table of op cases on a GPU, or on its kernels as the host layer runs them, against the CPU.
#include "../support/op_cases.h"
#include "../support/catch.h"
#include "gpu.h"

#include <retrace/autograd/autocast.h>
#include <retrace/autograd/tape.h>

#include <optional>

using namespace retrace;
using namespace retrace::test;

namespace {

Tensors on(Device device, const Tensors& inputs) {
  Tensors moved;
  for (const Tensor& x : inputs) moved.push_back(x.to(device, Tag::data));
  return moved;
}

double tolerance_of(const OpCase& op_case, DType dtype) {
  if (dtype == DType::f64) return 1e-11;
  return dtype == DType::f32 ? op_case.tolerance_f32 : op_case.tolerance_bf16;
}

}  // namespace

TEST_CASE("op cases: every row on the GPU's kernels is that of the CPU", "[cuda][op]") {
  static const std::vector<OpCase> rows = all_op_cases();
  const std::optional<Device> found = gpu_or_skip();
  if (!found) return;
  const Device gpu = *found;
  for (const OpCase& op_case : rows) {
    DYNAMIC_SECTION(op_case.name) {
      for (const DType dtype : {DType::f64, DType::f32, DType::bf16}) {
        CAPTURE(name_of(dtype));
        const Autocast scope(autocast_for(dtype));
        const Tensors inputs = make_inputs(op_case, dtype);
        const Outcome expected = run_recorded(op_case, inputs);
        std::optional<Outcome> first;
        for (const gpu_host::Order order : thread_orders()) {
          gpu_host::set_order(order);
          const Outcome got = run_recorded(op_case, on(gpu, inputs));
          CHECK(got.y.device() == gpu);
          CHECK(got.y.dtype() == expected.y.dtype());
          CHECK(distance(numbers(got.y), numbers(expected.y)) <= tolerance_of(op_case, dtype));
          for (std::size_t i = 0; i < inputs.size(); ++i) {
            INFO("input " << i);
            CHECK(distance(numbers(got.gradients[i]), numbers(expected.gradients[i])) <=
                  tolerance_of(op_case, dtype));
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
