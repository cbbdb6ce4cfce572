#include "../../support/catch.h"
#include "../../support/random_tensor.h"
#include "../../support/throws.h"

#include <retrace/autograd/ops.h>
#include <retrace/autograd/tape.h>

#include <cmath>
#include <limits>

using namespace retrace;
using namespace retrace::test;

namespace {

const Tensor kOnes = Tensor::full({1000}, 1, DType::f32);

}  // namespace

TEST_CASE("dropout saves nothing, and its derivative draws the same mask", "[dropout]") {
  manual_seed(1);
  Tape tape;
  const Var x = tape.watch(kOnes);
  const Counter counter(Tag::saved);
  const Var y = dropout(x, 0.25);
  CHECK(counter.total() == 0);
  CHECK(tape.saved_bytes() == 0);
  const Tensor forward = y.value();
  tape.backward(y, kOnes);
  CHECK(bit_equal(tape.grad(x), forward));
  const std::vector<float> values = forward.to_vector<float>();
  const auto dropped = std::count(values.begin(), values.end(), 0.0F);
  CHECK(std::abs(static_cast<double>(dropped) - 250) <
        5 * std::sqrt(1000 * 0.25 * 0.75));  // standard deviations
  CHECK(std::count(values.begin(), values.end(), 1 / 0.75F) == 1000 - dropped);
}

TEST_CASE("each dropout drops other elements, and a seed repeats them", "[dropout]") {
  manual_seed(1);
  const Tensor first = dropout(kOnes).value();
  const Tensor second = dropout(kOnes).value();
  CHECK(!bit_equal(first, second));
  manual_seed(1);
  CHECK(bit_equal(dropout(kOnes).value(), first));
  manual_seed(2);
  CHECK(!bit_equal(dropout(kOnes).value(), first));
}

TEST_CASE("a replay of a scope drops the same elements", "[dropout]") {
  const Scope scope("F");
  const ScopeState state = current_scope();
  const Tensor first = dropout(kOnes).value();
  advance_generator();
  const Reenter again(state);
  CHECK(bit_equal(dropout(kOnes).value(), first));
}

TEST_CASE("dropout in evaluation, or of nothing, is its input", "[dropout]") {
  CHECK(dropout(kOnes, 0.5, false).value().shares_storage(kOnes));
  CHECK(dropout(kOnes, 0).value().shares_storage(kOnes));
}

TEST_CASE("dropout takes a probability", "[dropout]") {
  check_throws<ArgumentError>([] { return dropout(kOnes, 1.5); }, "[dropout] p must be in [0,1], got 1.5");
  check_throws<ArgumentError>([] { return dropout(kOnes, -0.1, false); },
                              "[dropout] p must be in [0,1], got -0.1");
}

TEST_CASE("what is dropped is multiplied by 0, so that a NaN and an infinity are seen", "[dropout]") {
  for (const double x : {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()})
    for (const float y : dropout(Tensor::full({1000}, x, DType::f32), 0.5).value().to_vector<float>())
      CHECK_FALSE(std::isfinite(y));
}
