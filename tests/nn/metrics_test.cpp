#include <retrace/core/error.h>
#include <retrace/nn/metrics.h>

#include <limits>

#include "../support/catch.h"

using namespace retrace;

TEST_CASE("accuracy is the fraction of rows whose largest logit is the label's", "[metrics]") {
  const Tensor logits = Tensor::from<float>({1, 2, 0,     //
                                             5, 4, 3,     //
                                             -3, -2, -1,  //
                                             7, 7, 7},
                                            {4, 3});
  CHECK(count_correct(logits, Tensor::from<std::int64_t>({1, 0, 2, 0}, {4})) == 4);
  CHECK(count_correct(logits, Tensor::from<std::int64_t>({1, 1, 0, 1}, {4})) == 1);
  CHECK(accuracy(logits, Tensor::from<std::int64_t>({1, 0, 2, 1}, {4})) == 0.75);
  CHECK(accuracy(logits.to(DType::f64, Tag::data), Tensor::from<std::int64_t>({0, 1, 0, 2}, {4})) == 0);
}

TEST_CASE("a label may be among the k largest", "[metrics]") {
  const Tensor logits = Tensor::from<double>({1, 2, 0, -1,  //
                                              5, 4, 3, 6,   //
                                              7, 7, 7, 7},
                                             {3, 4});
  const auto count = [&](std::initializer_list<std::int64_t> labels, std::int64_t k) {
    return count_correct(logits, Tensor::from(labels, {3}), k);
  };
  CHECK(count({0, 0, 0}, 1) == 1);
  CHECK(count({0, 0, 0}, 2) == 3);
  CHECK(count({3, 2, 1}, 2) == 1);  // of equal logits the first two
  CHECK(count({3, 2, 2}, 2) == 0);
  CHECK(count({3, 2, 2}, 3) == 1);
  CHECK(count({3, 2, 3}, 4) == 3);
  CHECK(accuracy(logits, Tensor::from<std::int64_t>({0, 3, 3}, {3}), 2) == 2.0 / 3);
}

TEST_CASE("a NaN is larger than all numbers, and no right answer", "[metrics]") {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const Tensor logits = Tensor::from<double>({nan, nan, nan, nan, 2, 1}, {2, 3});
  CHECK(count_correct(logits, Tensor::from<std::int64_t>({0, 0}, {2}), 3) == 0);
  CHECK(count_correct(logits, Tensor::from<std::int64_t>({0, 1}, {2})) == 0);
  CHECK(count_correct(logits, Tensor::from<std::int64_t>({0, 1}, {2}), 2) == 1);
  CHECK(count_correct(logits, Tensor::from<std::int64_t>({0, 2}, {2}), 2) == 0);
}

TEST_CASE("a label outside the classes is in no row", "[metrics]") {
  const Tensor logits = Tensor::zeros({2, 3}, DType::f32);
  CHECK(count_correct(logits, Tensor::from<std::int64_t>({-1, 3}, {2}), 3) == 0);
}

TEST_CASE("logits and labels that do not fit", "[metrics]") {
  const Tensor logits = Tensor::zeros({4, 3}, DType::f32);
  const Tensor labels = Tensor::zeros({3}, DType::i64);
  CHECK_THROWS_AS(accuracy(logits, labels), ShapeError);
  CHECK_THROWS_WITH(accuracy(logits, labels),
                    "[accuracy] logits must be [N,C] and labels [N], got [4,3] and [3]");
  CHECK_THROWS_AS(accuracy(logits, Tensor::zeros({4}, DType::i32)), DTypeError);
  CHECK_THROWS_WITH(accuracy(logits, Tensor::zeros({4}, DType::i32)),
                    "[accuracy] labels must be i64, got i32");
  CHECK_THROWS_AS(accuracy(logits, Tensor::zeros({4}, DType::i64), 0), ArgumentError);
  CHECK_THROWS_WITH(accuracy(logits, Tensor::zeros({4}, DType::i64), 0),
                    "[accuracy] k must be in [1,3] for 3 classes, got 0");
  CHECK_THROWS_WITH(accuracy(logits, Tensor::zeros({4}, DType::i64), 4),
                    "[accuracy] k must be in [1,3] for 3 classes, got 4");
  CHECK_THROWS_AS(count_correct(labels, labels), DTypeError);
  CHECK_THROWS_WITH(count_correct(labels, labels),
                    "[count_correct] logits must be f32, f64, bf16 or f16, got i64");
}
