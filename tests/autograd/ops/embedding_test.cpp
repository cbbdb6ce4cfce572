#include "../../support/catch.h"
#include "../../support/random_tensor.h"
#include "../../support/throws.h"

#include <retrace/autograd/ops.h>
#include <retrace/autograd/tape.h>

using namespace retrace;
using namespace retrace::test;

namespace {

Tensor indices(std::initializer_list<std::int64_t> values) {
  return Tensor::from(values, {static_cast<std::int64_t>(values.size())});
}

}  // namespace

TEST_CASE("an embedding keeps its indices alone", "[embedding]") {
  Tape tape;
  const Var table = tape.watch(random_tensor({1000, 16}, DType::f32, 1));
  embedding(indices({3, 1, 3}), table);
  CHECK(tape.saved_bytes() == 3 * 8);
}

TEST_CASE("many uses of one row are added exactly", "[embedding]") {
  constexpr std::int64_t kUses = 100'000;  // added in f32, 0.1 would have lost digits
  Tape tape;
  const Var table = tape.watch(random_tensor({2, 3}, DType::f32, 1));
  const Var y = embedding(Tensor::full({kUses}, 1, DType::i64), table);
  tape.backward(y, Tensor::full(y.shape(), 0.1, DType::f32));
  const std::vector<float> gradient = tape.grad(table).to_vector<float>();
  const auto sum = static_cast<float>(kUses * static_cast<double>(0.1F));
  CHECK(gradient == std::vector<float>{0, 0, 0, sum, sum, sum});
}

TEST_CASE("an embedding says what does not fit", "[embedding]") {
  const Tensor table = random_tensor({5, 2}, DType::f32, 1);
  check_throws<ArgumentError>(
      [&] {
        return embedding(indices({1, 5}), table);
      },
      "[embedding] indices must be in [0,5) for 5 rows, got 5 at index 1");
  check_throws<ArgumentError>([&] { return embedding(indices({-1}), table); },
                              "[embedding] indices must be in [0,5) for 5 rows, got -1 at index 0");
  check_throws<DTypeError>([&] { return embedding(Tensor::zeros({3}, DType::i32), table); },
                           "[embedding] indices must be i64, got i32");
  check_throws<DTypeError>(
      [&] {
        return embedding(indices({0}), Tensor::zeros({5, 2}, DType::i32));
      },
      "[embedding] weight must be f32 or f64, got i32");
  check_throws<ShapeError>([&] { return embedding(indices({0}), Tensor::zeros({5}, DType::f32)); },
                           "[embedding] weight must be [V,D], got [5]");
  const auto padded = [&](std::int64_t row) { return embedding(indices({0}), table, {.padding_idx = row}); };
  check_throws<ArgumentError>([&] { return padded(5); },
                              "[embedding] padding_idx must be in [-5,5) for 5 rows, got 5");
  check_throws<ArgumentError>([&] { return padded(-6); },
                              "[embedding] padding_idx must be in [-5,5) for 5 rows, got -6");
  CHECK_NOTHROW(padded(-5));
}
