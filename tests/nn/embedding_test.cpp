#include <retrace/core/error.h>
#include <retrace/nn/embedding.h>
#include <retrace/nn/linear.h>
#include <retrace/nn/sequential.h>

#include <cmath>

#include "../support/catch.h"
#include "../support/throws.h"

using namespace retrace;
using namespace retrace::test;

TEST_CASE("an embedding looks rows up", "[embedding]") {
  Embedding table(3, 2);
  table.weight().value() = Tensor::from<float>({1, 2, 3, 4, 5, 6}, {3, 2}, Tag::parameter);
  Tape tape;
  const Var y = table(Var(Tensor::from<std::int64_t>({2, 0, 2, 2}, {2, 2})));
  CHECK(y.shape() == Shape{2, 2, 2});
  CHECK(y.value().to_vector<float>() == std::vector<float>{5, 6, 1, 2, 5, 6, 5, 6});
  tape.backward(y, Tensor::full({2, 2, 2}, 0.5, DType::f32));
  CHECK(table.weight().grad().to_vector<float>() == std::vector<float>{0.5, 0.5, 0, 0, 1.5, 1.5});
  CHECK((*table.clone())(Var(Tensor::from<std::int64_t>({1}, {1}))).value().to_vector<float>() ==
        std::vector<float>{3, 4});
}

TEST_CASE("an embedding begins with the normal distribution", "[embedding]") {
  Embedding table(200, 50);
  CHECK(table.named_parameters().front().first == "weight");
  CHECK(table.parameter_count() == 200 * 50);
  double sum = 0;
  double squares = 0;
  for (const double v : table.weight().value().to_vector<double>()) {
    sum += v;
    squares += v * v;
  }
  // five standard errors
  CHECK(std::abs(sum / 1e4) < 5 / std::sqrt(1e4));
  CHECK(std::abs(squares / 1e4 - 1) < 5 * std::sqrt(2 / 1e4));
}

TEST_CASE("the padding's row begins with zeros and gets no gradient", "[embedding]") {
  Embedding table(4, 3, {.padding_idx = -2});
  CHECK(table.weight().value().slice(2, 3).to_vector<float>() == std::vector<float>{0, 0, 0});
  CHECK(table.weight().value().slice(3, 4).to_vector<float>() != std::vector<float>{0, 0, 0});
  Tape tape;
  const Var y = table(Var(Tensor::from<std::int64_t>({2, 1}, {2})));
  tape.backward(y, Tensor::full({2, 3}, 1, DType::f32));
  CHECK(table.weight().grad().to_vector<float>() == std::vector<float>{0, 0, 0, 1, 1, 1, 0, 0, 0, 0, 0, 0});
}

TEST_CASE("embeddings that do not exist", "[embedding]") {
  check_throws<ArgumentError>([] { return Embedding(0, 2); },
                              "[embedding] the table must have at least 1 row and 1 column, got 0 and 2");
  check_throws<ArgumentError>([] { return Embedding(4, 2, {.padding_idx = 4}); },
                              "[embedding] padding_idx must be in [-4,4) for 4 rows, got 4");
  Embedding table(4, 2);
  check_throws<DTypeError>([&] { return table(Var(Tensor::zeros({2}, DType::f32))); },
                           "[embedding] indices must be i64, got f32");
}
