#include <retrace/core/kernels.h>
#include <retrace/core/random.h>
#include <retrace/core/threads.h>

#include <cmath>
#include <set>

#include "../support/catch.h"
#include "../support/random_tensor.h"

using namespace retrace;

namespace {

using Words = std::array<std::uint32_t, 4>;

struct Moments {
  double mean = 0, variance = 0;
};

Moments moments_of(const Tensor& x) {
  const std::vector<double> values = x.to_vector<double>();
  Moments moments;
  for (const double v : values) moments.mean += v / static_cast<double>(values.size());
  for (const double v : values)
    moments.variance += (v - moments.mean) * (v - moments.mean) / static_cast<double>(values.size());
  return moments;
}

}  // namespace

// The known answers that the authors publish with Random123 (kat_vectors, philox4x32 10): counter, key,
// result. A RandomStream's seed is the key, the stream the counter's upper half, the block its lower half.
TEST_CASE("Philox gives the published numbers", "[random]") {
  CHECK(philox({.seed = 0, .stream = 0}, 0) == Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
  const std::uint64_t ones = ~std::uint64_t{0};
  CHECK(philox({.seed = ones, .stream = ones}, ones) ==
        Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
  // counter 243f6a88 85a308d3 13198a2e 03707344, key a4093822 299f31d0: the digits of pi
  CHECK(philox({.seed = 0x299f31d0a4093822, .stream = 0x0370734413198a2e}, 0x85a308d3243f6a88) ==
        Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
}

TEST_CASE("uniform_at is a function of the stream and the index", "[random]") {
  const RandomStream stream{.seed = 1, .stream = 2};
  std::set<float> seen;
  for (std::uint64_t i = 0; i < 100; ++i) {
    const float u = uniform_at(stream, i);
    CHECK(u >= 0);
    CHECK(u < 1);
    CHECK(uniform_at(stream, i) == u);
    seen.insert(u);
  }
  CHECK(seen.size() == 100);
  CHECK(uniform_at({.seed = 1, .stream = 3}, 0) != uniform_at(stream, 0));
  CHECK(uniform_at({.seed = 2, .stream = 2}, 0) != uniform_at(stream, 0));
}

TEST_CASE("the generator's state can be set, and a seed starts it anew", "[random]") {
  manual_seed(9);
  CHECK(generator_state().seed == 9);
  CHECK(generator_state().step == 0);
  const RandomStream first = next_stream();
  CHECK(next_stream().stream != first.stream);
  advance_generator();
  CHECK(generator_state().step == 1);
  const GeneratorState state = generator_state();
  const RandomStream later = next_stream();
  CHECK(later.stream != first.stream);
  set_generator_state(state);
  CHECK(next_stream().stream == later.stream);
  manual_seed(9);
  CHECK(next_stream().stream == first.stream);
}

TEST_CASE("uniform draws what uniform_at says, in either type", "[random]") {
  const RandomStream stream{.seed = 4, .stream = 5};
  Tensor x({1003}, DType::f64);
  kernel::uniform(stream, 0, 1, x);
  Tensor f({1003}, DType::f32);
  kernel::uniform(stream, -2, 6, f);
  for (std::size_t i = 0; i < 1003; ++i) {
    const double u = uniform_at(stream, i);
    CHECK(x.values<double>()[i] == u);
    CHECK(f.values<float>()[i] == static_cast<float>(-2 + 8 * u));
  }
}

TEST_CASE("uniform numbers have the moments of their distribution", "[random]") {
  Tensor x({200001}, DType::f32);
  kernel::uniform({.seed = 1, .stream = 1}, -1, 3, x);
  const Moments moments = moments_of(x);
  // Five standard errors. The fourth moment of a uniform distribution is 9/5 of the variance's square.
  const double variance = 16.0 / 12;
  CHECK(std::abs(moments.mean - 1) < 5 * std::sqrt(variance / 200001));
  CHECK(std::abs(moments.variance - variance) < 5 * variance * std::sqrt((9.0 / 5 - 1) / 200001));
}

TEST_CASE("normal numbers have the moments of their distribution", "[random]") {
  Tensor x({200001}, DType::f64);
  kernel::normal({.seed = 1, .stream = 1}, 0.5, 2, x);
  const Moments moments = moments_of(x);
  // Five standard errors, here and below.
  CHECK(std::abs(moments.mean - 0.5) < 5 * 2 / std::sqrt(200001.0));
  CHECK(std::abs(moments.variance - 4) < 5 * 4 * std::sqrt(2.0 / 200001));
  std::int64_t within = 0;
  double product = 0;  // of neighbours, which come from one pair of uniform numbers
  const std::vector<double> values = x.to_vector<double>();
  for (std::size_t i = 0; i < values.size(); ++i) {
    within += std::abs(values[i] - 0.5) < 2;
    if (i % 2 == 1) product += (values[i] - 0.5) * (values[i - 1] - 0.5);
  }
  CHECK(std::abs(static_cast<double>(within) / 200001 - 0.6827) < 5 * std::sqrt(0.6827 * 0.3173 / 200001));
  CHECK(std::abs(product / 100000 / 4) < 5 / std::sqrt(100000.0));
}

TEST_CASE("f32 numbers are f64 numbers, rounded", "[random]") {
  Tensor x({101}, DType::f64);
  Tensor f({101}, DType::f32);
  kernel::normal({.seed = 1, .stream = 1}, 0, 1, x);
  kernel::normal({.seed = 1, .stream = 1}, 0, 1, f);
  CHECK(test::bit_equal(x.to(DType::f32, Tag::data), f));
}

TEST_CASE("draws do not depend on threads", "[random]") {
  CHECK(test::same_for_any_threads([] {
    Tensor x({50001}, DType::f32);
    kernel::normal({.seed = 1, .stream = 1}, 0, 1, x);
    return x;
  }));
}

TEST_CASE("dropout keeps an element where its uniform number is at least p", "[random]") {
  const RandomStream stream{.seed = 8, .stream = 9};
  const Tensor x = Tensor::full({20001}, 3, DType::f32);
  for (const double p : {0.0, 0.3, 0.5, 1.0}) {
    Tensor y = like(x);
    kernel::dropout(x, stream, p, y);
    std::int64_t wrong = 0;
    for (std::size_t i = 0; i < 20001; ++i) {
      const bool kept = static_cast<double>(uniform_at(stream, i)) >= p;
      wrong += y.values<float>()[i] != (kept ? 3 * static_cast<float>(1 / (1 - p)) : 0.0F);
    }
    INFO("p = " << p);
    CHECK(wrong == 0);
  }
}

TEST_CASE("a replay draws what its forward drew, or throws", "[random]") {
  manual_seed(5);
  const ScopeSnapshot here = scope_snapshot();
  DrawLog log;
  {
    const detail::Guard recording = log.record();
    const Scope scope("F");
    static_cast<void>(next_stream());
  }
  static_cast<void>(next_stream());  // not of the forward
  const Reenter again(here);
  const detail::Guard verifying = log.verify();
  {
    const Scope scope("F");
    static_cast<void>(next_stream());
    CHECK_THROWS_AS(next_stream(), GradientError);
    CHECK_THROWS_WITH(
        next_stream(),
        "[random] a replay must draw the random numbers of its forward, but 'F' draws others; call "
        "the same modules as the forward, each in the ModuleScope that the forward entered");
  }
  const Scope other("G");
  CHECK_THROWS_AS(next_stream(), GradientError);
}
