#include <retrace/core/error.h>
#include <retrace/nn/metrics.h>

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

TEST_CASE("logits and labels that do not fit", "[metrics]") {
  const Tensor logits = Tensor::zeros({4, 3}, DType::f32);
  const Tensor labels = Tensor::zeros({3}, DType::i64);
  CHECK_THROWS_AS(accuracy(logits, labels), ShapeError);
  CHECK_THROWS_WITH(accuracy(logits, labels),
                    "[accuracy] logits must be [N,C] and labels [N], got [4,3] and [3]");
  CHECK_THROWS_AS(accuracy(logits, Tensor::zeros({4}, DType::i32)), DTypeError);
  CHECK_THROWS_WITH(accuracy(logits, Tensor::zeros({4}, DType::i32)),
                    "[accuracy] labels must be i64, got i32");
}
