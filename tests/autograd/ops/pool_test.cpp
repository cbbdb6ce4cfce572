#include "../../support/catch.h"
#include "../../support/random_tensor.h"

#include <retrace/autograd/ops.h>
#include <retrace/autograd/tape.h>
#include <retrace/core/error.h>

using namespace retrace;
using namespace retrace::test;

namespace {

Tensor some(const Shape& shape) { return random_tensor(shape, DType::f32, 1); }

}  // namespace

TEST_CASE("max_pool2d keeps indices and no values", "[pool]") {
  Tape tape;
  const Var y = max_pool2d(tape.watch(some({2, 3, 4, 4})));
  REQUIRE(tape.saved().size() == 1);
  const Tensor kept = tape.saved().front().tensor;
  CHECK(kept.dtype() == DType::i32);
  CHECK(kept.shape() == y.shape());
  CHECK(kept.storage().tag() == Tag::saved);
}

TEST_CASE("average pooling keeps nothing", "[pool]") {
  Tape tape;
  const Var x = tape.watch(some({2, 3, 4, 4}));
  avg_pool2d(x);
  adaptive_avg_pool2d(x, 1);
  CHECK(tape.size() == 2);
  CHECK(tape.saved_bytes() == 0);
}

TEST_CASE("pooling says what does not fit", "[pool]") {
  CHECK_THROWS_WITH(max_pool2d(some({2, 3})), "[max_pool2d] x must be [N,C,H,W], got [2,3]");
  CHECK_THROWS_AS(max_pool2d(some({2, 3})), ShapeError);
  CHECK_THROWS_WITH(max_pool2d(some({1, 1, 4, 4}), {.kernel = 5}),
                    "[max_pool2d] the kernel (5,5) must fit into the padded image (4,4)");
  CHECK_THROWS_WITH(avg_pool2d(some({1, 1, 4, 4}), {.padding = 2}),
                    "[avg_pool2d] padding must be at most half of the kernel (2,2), got (2,2)");
  CHECK_THROWS_AS(avg_pool2d(some({1, 1, 4, 4}), {.padding = 2}), ArgumentError);
  CHECK_THROWS_WITH(adaptive_avg_pool2d(some({1, 1, 4, 4}), 0),
                    "[adaptive_avg_pool2d] the output must be at least 1, got (0,0)");
  const Tensor integers = Tensor::zeros({1, 1, 4, 4}, DType::i32);
  CHECK_THROWS_AS(max_pool2d(integers), DTypeError);
  CHECK_THROWS_AS(avg_pool2d(integers), DTypeError);
  CHECK_THROWS_AS(adaptive_avg_pool2d(integers, 1), DTypeError);
}
