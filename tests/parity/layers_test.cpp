// P58: the loss, the measure and the order of samples that its trainings use.
#include <retrace/autograd/ops.h>
#include <retrace/autograd/tape.h>
#include <retrace/nn/data/sampler.h>
#include <retrace/nn/metrics.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>

#include "../support/catch.h"
#include "../support/rounding.h"

using namespace retrace;

TEST_CASE("[P58] cross entropy of equal logits is ln C", "[P58]") {
  const Tensor labels = Tensor::full({5}, 1, DType::i64);
  for (const DType dtype : {DType::f32, DType::f64}) {
    Tape tape;
    const Var logits = tape.watch(Tensor::full({5, 2}, 1, dtype, Tag::activation));
    const Var loss = cross_entropy(logits, labels);
    CHECK(loss.shape() == Shape{});
    CHECK(test::roundings(loss.value().item(), std::log(2.0), dtype) <= 8);  // a mean of five
    const Tensor ones = Tensor::full({2}, 1, dtype);
    CHECK(cross_entropy(logits, labels, {.weight = ones}).value().item() == loss.value().item());
    const Tensor none = Tensor::zeros({2}, dtype);
    CHECK(cross_entropy(logits, labels, {.weight = none, .reduction = Reduction::sum}).value().item() == 0);
  }
}

TEST_CASE("[P58] cross entropy is stable", "[P58]") {
  // MemCNN takes the logarithm of a softmax: a loss of 200 is infinite there in f32, and its gradient a NaN.
  for (const double far : {200.0, 1e4, 1e30}) {
    Tape tape;
    const Var logits = tape.watch(Tensor::from<double>({far, 0, 0, far}, {2, 2}).to(DType::f32, Tag::data));
    const Var loss = cross_entropy(logits, Tensor::from<std::int64_t>({1, 1}, {2}));
    CHECK(test::roundings(loss.value().item(), far / 2, DType::f32) <= 4);
    tape.backward(loss);
    CHECK(tape.grad(logits).to_vector<double>() == std::vector<double>{0.5, -0.5, 0, 0});
  }
}

TEST_CASE("[P58] top-k accuracy", "[P58]") {
  constexpr std::int64_t kClasses = 10;
  std::vector<double> logits;  // in row n, class c stands at place (c - n) mod kClasses
  std::vector<std::int64_t> labels;
  for (std::int64_t n = 0; n < kClasses; ++n) {
    for (std::int64_t c = 0; c < kClasses; ++c)
      logits.push_back(-static_cast<double>((c - n + kClasses) % kClasses));
    labels.push_back(2 * n % kClasses);  // at place n
  }
  const Tensor x = Tensor::from(std::span<const double>(logits), {kClasses, kClasses});
  const Tensor y = Tensor::from(std::span<const std::int64_t>(labels), {kClasses});
  for (std::int64_t k = 1; k <= kClasses; ++k) {
    CHECK(count_correct(x, y, k) == k);
    CHECK(accuracy(x, y, k) == static_cast<double>(k) / kClasses);
  }
}

TEST_CASE("[P58] each block of len(dataset) samples is a permutation", "[P58]") {
  struct Case {
    std::int64_t samples, size;
  };
  for (const Case& c : {Case{1, 1}, Case{14, 10}, Case{10, 14}, Case{5, 1}, Case{1, 5}, Case{0, 10},
                        Case{4, 12}, Case{12, 3}})
    for (std::uint64_t seed = 0; seed < 10; ++seed) {
      RandomSampler sampler(c.size, seed);
      const std::vector<std::int64_t> samples = sampler.next(c.samples);
      REQUIRE(static_cast<std::int64_t>(samples.size()) == c.samples);
      CHECK(sampler.position() == c.samples);
      std::set<std::int64_t> block;
      for (const std::int64_t sample : samples) {
        CHECK(sample >= 0);
        CHECK(sample < c.size);
        CHECK(block.insert(sample).second);
        if (static_cast<std::int64_t>(block.size()) == c.size) block.clear();
      }
    }
}

TEST_CASE("[P58] a last, shorter block is drawn from the whole data set", "[P58]") {
  // MemCNN draws a remainder of r samples from the first r of the data set alone.
  std::set<std::int64_t> drawn;
  for (std::uint64_t seed = 0; seed < 100; ++seed)
    for (const std::int64_t sample : RandomSampler(14, seed).next(10)) drawn.insert(sample);
  CHECK(drawn.size() == 14);
}
