// The checks that every row of the table of op cases passes.
#include "../support/op_cases.h"
#include "../support/catch.h"

#include <retrace/autograd/autocast.h>
#include <retrace/autograd/gradient_check.h>
#include <retrace/autograd/ops.h>
#include <retrace/autograd/record.h>
#include <retrace/autograd/tape.h>
#include <retrace/core/threads.h>

#include <algorithm>
#include <optional>
#include <set>

using namespace retrace;
using namespace retrace::test;

namespace {

// Elements of each input compared with differences; of large inputs, which are there for the threads, fewer.
constexpr std::int64_t kSamples = 30;
constexpr std::int64_t kSamplesOfLarge = 3;
constexpr std::int64_t kLarge = 2000;
// What is saved moves by kPerturbation; no derivative of a row has a slope of 100, and a yes or no that turns
// moves a gradient by some tenths.
constexpr double kPerturbation = 1e-8;
constexpr double kAllowedMove = 100 * kPerturbation;

/// Runs with another number of threads.
class WithThreads {
 public:
  explicit WithThreads(int threads) : previous_(num_threads()) { set_num_threads(threads); }
  ~WithThreads() { set_num_threads(previous_); }
  WithThreads(const WithThreads&) = delete;
  WithThreads& operator=(const WithThreads&) = delete;

 private:
  int previous_;
};

/// The same numbers as f32; integers stay.
Tensors widened(const Tensors& inputs) {
  Tensors wide;
  for (const Tensor& x : inputs) wide.push_back(is_float(x.dtype()) ? x.to(DType::f32, Tag::data) : x);
  return wide;
}

void check_close(const Outcome& reduced, const Outcome& f32, double tolerance) {
  CHECK(distance(numbers(reduced.y), numbers(f32.y)) <= tolerance);
  for (std::size_t i = 0; i < f32.gradients.size(); ++i) {
    INFO("input " << i);
    CHECK(distance(numbers(reduced.gradients[i]), numbers(f32.gradients[i])) <= tolerance);
  }
}

template <class Check>
void for_every_row(const Check& check) {
  static const std::vector<OpCase> rows = all_op_cases();
  for (const OpCase& op_case : rows) {
    DYNAMIC_SECTION(op_case.name) { check(op_case); }
  }
}

}  // namespace

TEST_CASE("op cases: every row has a name of its own", "[op]") {
  std::set<std::string> names;
  for (const OpCase& op_case : all_op_cases()) {
    INFO(op_case.name);
    CHECK(names.insert(op_case.name).second);
  }
}

TEST_CASE("op cases: values and gradients against literals", "[op]") {
  for_every_row([](const OpCase& op_case) {
    for (const DType dtype : {DType::f64, DType::f32}) {
      const double tolerance = tolerance_of(dtype);
      const Tensors inputs = make_inputs(op_case, dtype);
      const Tensor y = run_plain(op_case, inputs);
      CHECK(y.dtype() == dtype);
      if (!op_case.expected.empty()) {
        INFO(y);
        CHECK(distance(numbers(y), op_case.expected) <= tolerance);
      }
      if (op_case.expected_gradients.empty()) continue;
      const Tensor ones = Tensor::full(y.shape(), 1, dtype);
      const Outcome outcome = run_recorded(op_case, inputs, 0, ones);
      REQUIRE(outcome.gradients.size() == op_case.expected_gradients.size());
      for (std::size_t i = 0; i < outcome.gradients.size(); ++i) {
        INFO("input " << i << ": " << outcome.gradients[i]);
        CHECK(distance(numbers(outcome.gradients[i]), op_case.expected_gradients[i]) <= tolerance);
      }
    }
  });
}

TEST_CASE("op cases: gradients against differences", "[op]") {
  for_every_row([](const OpCase& op_case) {
    if (op_case.on_kinks) return;
    const Tensors inputs = make_inputs(op_case, DType::f64);
    const bool large =
        std::any_of(inputs.begin(), inputs.end(), [](const Tensor& x) { return x.numel() > kLarge; });
    const GradientCheck result =
        check_gradient(op_case.function, inputs, {.samples = large ? kSamplesOfLarge : kSamples});
    INFO(result.report);
    CHECK(result);
  });
}

TEST_CASE("op cases: no derivative asks a saved number for a yes or no", "[op]") {
  for_every_row([](const OpCase& op_case) {
    const Tensors inputs = make_inputs(op_case, DType::f64);
    const Outcome exact = run_recorded(op_case, inputs);
    for (const double by : {kPerturbation, -kPerturbation}) {
      const Outcome moved = run_recorded(op_case, inputs, by);
      for (std::size_t i = 0; i < inputs.size(); ++i) {
        INFO("input " << i);
        CHECK(distance(numbers(moved.gradients[i]), numbers(exact.gradients[i])) <= kAllowedMove);
      }
    }
  });
}

TEST_CASE("op cases: a ReLU that asks its output is caught", "[op]") {
  const OpCase asking{.name = "asking ReLU",
                      .function =
                          [](const Vars& x) {
                            const Tensor y = relu(x[0].value()).value();
                            return record("asking_relu", {x[0]}, y, {y},
                                          [](const Tensor& dy, Saved saved, const Wants&) -> Tensors {
                                            Tensor dx = dy.clone(Tag::gradient);
                                            const auto kept = saved[0].values<double>();
                                            for (std::size_t i = 0; i < kept.size(); ++i)
                                              if (!(kept[i] > 0)) dx.mutable_values<double>()[i] = 0;
                                            return {dx};
                                          });
                          },
                      .inputs = {with_zeros({3, 7})}};
  const Tensors inputs = make_inputs(asking, DType::f64);
  const auto exact = numbers(run_recorded(asking, inputs).gradients[0]);
  CHECK(distance(numbers(run_recorded(asking, inputs, kPerturbation).gradients[0]), exact) > 0.01);
}

TEST_CASE("op cases: recording changes no number", "[op]") {
  for_every_row([](const OpCase& op_case) {
    for (const DType dtype : {DType::f64, DType::f32, DType::bf16, DType::f16}) {
      const Autocast scope(autocast_for(dtype));
      const Tensors inputs = make_inputs(op_case, dtype);
      const Tensor plain = run_plain(op_case, inputs);
      CHECK(same_bits(run_recorded(op_case, inputs).y, plain));
      const Recomputing replay;
      CHECK(same_bits(run_recorded(op_case, inputs).y, plain));
    }
  });
}

TEST_CASE("op cases: results do not depend on the number of threads", "[op]") {
  for_every_row([](const OpCase& op_case) {
    for (const DType dtype : {DType::f64, DType::f32, DType::bf16, DType::f16}) {
      const Autocast scope(autocast_for(dtype));
      const Tensors inputs = make_inputs(op_case, dtype);
      const auto run = [&](int threads) {
        const WithThreads chosen(threads);
        return run_recorded(op_case, inputs);
      };
      const Outcome one = run(1);
      const Outcome two = run(2);
      CHECK(same_bits(one.y, two.y));
      for (std::size_t i = 0; i < inputs.size(); ++i) {
        INFO("input " << i);
        CHECK(same_bits(one.gradients[i], two.gradients[i]));
      }
    }
  });
}

// bf16 has 8 bits, so one operation that rounds its exact result is off by at most 2^-8 of it, and a row that
// is a composition of a few by a few times that; f16 has 11. What an operation sums it sums in f32, so long
// sums are as good as short.
TEST_CASE("op cases: under Autocast every row takes bf16 and f16 and gives f32's results",
          "[op][precision]") {
  for_every_row([](const OpCase& op_case) {
    for (const DType dtype : {DType::bf16, DType::f16}) {
      CAPTURE(name_of(dtype));
      const Tensors inputs = make_inputs(op_case, dtype);
      Outcome rounded;
      Tensor dy;
      {
        const Autocast scope(dtype);
        dy = make_cotangent(run_plain(op_case, inputs));
        rounded = run_recorded(op_case, inputs, 0, dy);
      }
      for (std::size_t i = 0; i < inputs.size(); ++i)
        if (rounded.gradients[i].defined()) CHECK(rounded.gradients[i].dtype() == dtype);
      check_close(rounded, run_recorded(op_case, widened(inputs), 0, dy.to(DType::f32, Tag::data)),
                  tolerance_of(dtype));
    }
  });
}

TEST_CASE("op cases: without Autocast a row computes with bf16 and f16 or says that it does not",
          "[op][precision]") {
  for_every_row([](const OpCase& op_case) {
    for (const DType dtype : {DType::bf16, DType::f16}) {
      const Tensors inputs = make_inputs(op_case, dtype);
      try {
        const Tensor dy = make_cotangent(run_plain(op_case, inputs));
        CHECK(dy.dtype() == dtype);
        check_close(run_recorded(op_case, inputs, 0, dy),
                    run_recorded(op_case, widened(inputs), 0, dy.to(DType::f32, Tag::data)),
                    tolerance_of(dtype));
      } catch (const DTypeError& error) {
        CHECK_THAT(error.what(),
                   Catch::Matchers::EndsWith("must be f32 or f64, got " + std::string(name_of(dtype)) +
                                             "; cast it to f32, or use Autocast, which does"));
      }
    }
  });
}

TEST_CASE("op cases: inputs are not written", "[op]") {
  for_every_row([](const OpCase& op_case) {
    const Tensors inputs = make_inputs(op_case, DType::f32);
    const Tensors fresh = make_inputs(op_case, DType::f32);
    run_plain(op_case, inputs);
    for (std::size_t i = 0; i < inputs.size(); ++i) CHECK(same_bits(inputs[i], fresh[i]));
  });
}
