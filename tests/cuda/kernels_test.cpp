// Kernels of the GPU at shapes and values that the table of op cases leaves out, against the CPU's: rows that
// a block takes, sums in parts of parts, NaNs, and windows of every kind.
#include "../support/catch.h"
#include "../support/op_case.h"
#include "../support/rounding.h"
#include "host/host_layer.h"

#include <retrace/core/kernels.h>
#include <retrace/cuda/device.h>

#include <cmath>
#include <functional>
#include <limits>
#include <string>
#include <utility>
#include <vector>

using namespace retrace;
using namespace retrace::test;

namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// Equal, NaNs and infinities included, up to `tolerance`.
bool close(const Tensor& got, const Tensor& expected, double tolerance) {
  const std::vector<double> a = got.to_vector<double>();
  const std::vector<double> b = expected.to_vector<double>();
  for (std::size_t i = 0; i < b.size(); ++i) {
    const bool same = a[i] == b[i] || (std::isnan(a[i]) && std::isnan(b[i]));
    if (!same && !(std::abs(a[i] - b[i]) <= tolerance * (1 + std::abs(b[i])))) return false;
  }
  return a.size() == b.size() && got.dtype() == expected.dtype();
}

/// Results of kernels, made where the inputs are.
using Run = std::function<Tensors(const Tensors& inputs)>;

/// Runs it on the CPU and, in both orders of threads, on the GPU's kernels. A tolerance of 0 asks for all
/// bits.
void compare(const Tensors& inputs, double tolerance, const Run& run) {
  const Tensors expected = run(inputs);
  Tensors moved;
  for (const Tensor& x : inputs) moved.push_back(x.defined() ? x.to(cuda::device(0), Tag::data) : x);
  for (const gpu_host::Order order : {gpu_host::Order::forward, gpu_host::Order::reversed}) {
    gpu_host::set_order(order);
    const Tensors got = run(moved);
    CHECK(gpu_host::guards_hold());
    REQUIRE(got.size() == expected.size());
    for (std::size_t i = 0; i < got.size(); ++i) {
      INFO("result " << i);
      CHECK(got[i].device() == cuda::device(0));
      CHECK(close(got[i], expected[i], tolerance));
    }
  }
}

/// What a CPU and a GPU that round so often, each in its own order, may differ by, in parts of numbers
/// near 1.
double allowed(DType dtype, int roundings) { return 2 * roundings * unit_roundoff(dtype); }

/// Of exp, log, a norm's or an optimizer's formula, sums aside.
constexpr int kFormula = 20;

/// Multiples of 1/8 in [-1, 1]: their sums, and those of their products, are exact in every order.
Tensor on_grid(const Shape& shape, DType dtype, std::uint64_t seed = 1) {
  Tensor x = uniform(shape, -8, 8, seed)(DType::f64);
  for (double& value : x.mutable_values<double>()) value = std::round(value) / 8;
  return x.to(dtype, Tag::data);
}

constexpr auto kEachType = {DType::f64, DType::f32, DType::bf16, DType::f16};
constexpr auto kWideTypes = {DType::f64, DType::f32};

/// Uniform numbers with some others in their place.
Tensor with(const Shape& shape, DType dtype, std::initializer_list<std::pair<std::size_t, double>> others) {
  Tensor x = uniform(shape, -3, 3)(DType::f64);
  for (const auto& [at, value] : others) x.mutable_values<double>()[at] = value;
  return x.to(dtype, Tag::data);
}

}  // namespace

TEST_CASE("sums of many terms are made of parts on the GPU, too", "[cuda][reduce]") {
  struct Case {
    Shape x, out;
  };
  for (const Case& c : {Case{{20011}, {1}}, Case{{20011, 3}, {1, 3}}, Case{{3, 5003}, {3, 1}},
                        Case{{4, 3, 33, 37}, {1, 3, 1, 1}}, Case{{2, 300, 2, 30}, {2, 1, 2, 1}},
                        Case{{7, 9}, {7, 1}}, Case{{7, 9}, {7, 9}}, Case{{}, {}}})
    for (const DType dtype : kEachType) {
      INFO(c.x << " to " << c.out << ' ' << name_of(dtype));
      compare({on_grid(c.x, dtype)}, 0, [&](const Tensors& x) {
        Tensor out = like(x[0], c.out);
        kernel::sum_to(x[0], 2, out);
        return Tensors{out};
      });
    }
}

TEST_CASE("argmax on the GPU takes the first of the largest, as the CPU does", "[cuda][reduce]") {
  const auto check = [](const Tensor& x) {
    compare({x}, 0, [](const Tensors& inputs) {
      Tensor y(inputs[0].shape().without(-1), DType::i64, Tag::data, inputs[0].device());
      kernel::argmax(inputs[0], y);
      return Tensors{y};
    });
  };
  for (const DType dtype : kEachType) {
    INFO(name_of(dtype));
    check(uniform({5, 7})(dtype));
    check(uniform({5, 1})(dtype));
    check(uniform({4, 3, 301})(dtype));
    check(with({2, 5}, dtype, {{1, 9}, {3, 9}, {5, kNaN}, {8, kNaN}}));
    check(with({3, 300}, dtype, {{270, 9}, {290, 9}, {300, kNaN}, {700, kNaN}}));
    check(Tensor::full({2, 300}, -kInfinity, dtype));
  }
}

TEST_CASE("label_rank on the GPU counts as the CPU does", "[cuda][reduce]") {
  for (const DType dtype : kEachType)
    for (const std::int64_t classes : {7, 300}) {
      INFO(name_of(dtype) << ' ' << classes);
      const Tensor x = with({6, classes}, dtype, {{0, 9}, {3, 9}, {5, kNaN}, {8, kNaN}});
      const Tensor labels = Tensor::from<std::int64_t>({3, 1, -1, classes, 4, classes - 1}, {6});
      compare({x, labels}, 0, [](const Tensors& inputs) {
        Tensor y = like(inputs[1]);
        kernel::label_rank(inputs[0], inputs[1], y);
        return Tensors{y};
      });
    }
}

TEST_CASE("softmax on the GPU takes long lines and NaNs", "[cuda][softmax]") {
  for (const DType dtype : kWideTypes)
    for (const int dim : {0, 1, 2}) {
      INFO(name_of(dtype) << " dim " << dim);
      const Tensor x = with({5, 67, 70}, dtype, {{3, kNaN}, {10000, kInfinity}, {20000, -kInfinity}});
      compare({x, uniform(x.shape(), -1, 1, 2)(dtype)}, allowed(dtype, 70 + kFormula),
              [dim](const Tensors& inputs) {
                Tensors y(4);
                for (Tensor& result : y) result = like(inputs[0]);
                kernel::softmax(inputs[0], dim, y[0]);
                kernel::softmax_backward(y[0], inputs[1], dim, y[1]);
                kernel::log_softmax(inputs[0], dim, y[2]);
                kernel::log_softmax_backward(y[2], inputs[1], dim, y[3]);
                return y;
              });
    }
}

TEST_CASE("cross entropy on the GPU takes many classes", "[cuda][softmax]") {
  const Shape shape{6, 331};
  const Tensor labels = Tensor::from<std::int64_t>({3, 330, -100, 0, 17, 2}, {6});
  for (const DType dtype : kWideTypes)
    for (const double smoothing : {0.0, 0.2})
      for (const bool weighted : {false, true})
        for (const bool each : {false, true}) {
          INFO(name_of(dtype) << ' ' << smoothing << (weighted ? " weighted" : "") << (each ? " each" : ""));
          const Tensor x = with(shape, dtype, {{5, -kInfinity}, {331 + 5, kNaN}, {2 * 331, kNaN}});
          const Tensor weight = weighted ? uniform({shape[1]}, 0.5, 2, 3)(dtype) : Tensor();
          const Shape result = each ? Shape{shape[0]} : Shape{};
          compare({x, labels, weight, uniform(result, -1, 1, 4)(dtype)}, allowed(dtype, 331 + kFormula),
                  [&](const Tensors& in) {
                    Tensor loss = like(in[0], result);
                    Tensor dx = like(in[0]);
                    kernel::cross_entropy(in[0], in[1], in[2], smoothing, -100, 4.5, loss);
                    kernel::cross_entropy_backward(in[0], in[1], in[2], smoothing, -100, 4.5, in[3], dx);
                    return Tensors{loss, dx};
                  });
        }
}

TEST_CASE("pooling on the GPU sees the CPU's windows", "[cuda][pool]") {
  struct Case {
    Shape x;
    Pool2dOptions options;
  };
  for (const Case& c : {Case{{2, 3, 7, 9}, {.kernel = 2}},
                        Case{{1, 2, 9, 8}, {.kernel = 3, .stride = Size2d(1), .padding = 1}},
                        Case{{1, 2, 9, 8}, {.kernel = {4, 2}, .stride = Size2d(3, 1), .padding = {2, 1}}},
                        Case{{2, 1, 11, 12}, {.kernel = 2, .stride = Size2d(4, 5)}},
                        Case{{2, 1, 30, 20}, {.kernel = {9, 8}, .stride = Size2d(2), .padding = 4}}})
    for (const DType dtype : kEachType) {
      INFO(c.x << ' ' << name_of(dtype));
      const Shape shape = pool2d_shape("pool", c.x, c.options);
      const Tensor x = with(c.x, dtype, {{3, 9}, {4, 9}, {40, kNaN}, {41, kNaN}, {60, -kInfinity}});
      const Tensor dy = uniform(shape, -1, 1, 2)(dtype);
      compare({x, dy}, 0, [&](const Tensors& in) {
        Tensor y = like(in[0], shape);
        Tensor indices(shape, DType::i32, Tag::data, in[0].device());
        Tensor dx = like(in[0]);
        Tensor mean_dx = like(in[0]);
        kernel::max_pool2d(in[0], c.options, y, indices);
        kernel::max_pool2d_backward(in[1], indices, c.options, dx);
        kernel::avg_pool2d_backward(in[1], c.options, mean_dx);
        return Tensors{y, indices, dx, mean_dx};
      });
      compare({on_grid(c.x, dtype)}, allowed(dtype, 3), [&](const Tensors& in) {
        Tensor y = like(in[0], shape);
        kernel::avg_pool2d(in[0], c.options, y);
        return Tensors{y};
      });
    }
}

TEST_CASE("adaptive pooling on the GPU sees the CPU's cells", "[cuda][pool]") {
  for (const Size2d out : {Size2d(1), Size2d(2, 3), Size2d(17, 19), Size2d(23, 40), Size2d(1, 5)})
    for (const DType dtype : kEachType) {
      const Shape shape{2, 2, out.h, out.w};
      INFO(shape << ' ' << name_of(dtype));
      const Tensor x = on_grid({2, 2, 17, 19}, dtype);
      compare({x}, allowed(dtype, 3), [&](const Tensors& in) {
        Tensor y = like(in[0], shape);
        kernel::adaptive_avg_pool2d(in[0], y);
        return Tensors{y};
      });
      compare({uniform(shape, -1, 1, 2)(dtype)}, 0, [&](const Tensors& in) {
        Tensor dx = like(in[0], x.shape());
        kernel::adaptive_avg_pool2d_backward(in[0], dx);
        return Tensors{dx};
      });
    }
}

TEST_CASE("group_norm on the GPU makes each gradient alone", "[cuda][group_norm]") {
  for (const auto& [shape, groups] : {std::pair{Shape{40, 6, 3}, 2}, std::pair{Shape{20, 4, 70}, 4}})
    for (const DType dtype : kWideTypes)
      for (const bool want_dx : {false, true}) {
        INFO(shape << ' ' << name_of(dtype) << ' ' << want_dx);
        // a sum of up to 120 terms that a standard deviation of 0.3 makes larger, of numbers below 6
        compare({uniform(shape, 5, 6)(dtype), uniform(shape, -1, 1, 2)(dtype)},
                allowed(dtype, (120 + kFormula) * 6 * 4), [&, groups = groups](const Tensors& in) {
                  Tensor y = like(in[0]);
                  Tensor mean = like(in[0], {in[0].shape()[0] * groups});
                  Tensor rstd = like(mean);
                  const Tensor none;
                  kernel::group_norm(in[0], none, none, groups, 1e-5, mean, rstd, y);
                  Tensor dx = want_dx ? like(in[0]) : Tensor();
                  Tensor dgamma = want_dx ? Tensor() : like(in[0], {in[0].shape()[1]});
                  kernel::group_norm_backward(in[1], in[0], none, mean, rstd, groups, dx, dgamma);
                  return Tensors{y, mean, rstd, want_dx ? dx : dgamma};
                });
      }
}

TEST_CASE("kernels on the GPU that no op has end where their results do", "[cuda]") {
  const Tensor rows = uniform({8, 64})(DType::f64);
  const Tensor labels = Tensor::from<std::int64_t>({3, 1, 0, 63, 4, 9, 9, 2}, {8});
  compare({rows, labels}, allowed(DType::f64, kFormula), [](const Tensors& in) {
    Tensors y;
    for (int i = 0; i < 2; ++i) y.push_back(like(in[1]));
    for (int i = 0; i < 4; ++i) y.push_back(like(in[0]));
    kernel::argmax(in[0], y[0]);
    kernel::label_rank(in[0], in[1], y[1]);
    kernel::uniform({1, 2}, -1, 1, y[2]);
    kernel::normal({1, 3}, 0, 1, y[3]);
    kernel::fill(y[4], 5);
    kernel::fill(y[5], 6);
    kernel::ParameterSteps steps{{{.gradient = in[0], .state = {y[4]}, .number = 2, .parameter = y[5]}}};
    kernel::sgd_step({.lr = 0.1, .momentum = 0.9}, steps);
    return y;
  });
}

namespace {

/// An optimizer, its options, and how many states a parameter has.
struct Optimizer {
  std::string name;
  std::size_t states;
  std::function<void(kernel::ParameterSteps& steps)> step;
};
const std::vector<Optimizer> kOptimizers{
    {"sgd", 0, [](auto& steps) { kernel::sgd_step({.lr = 0.1, .weight_decay = 0.1}, steps); }},
    {"sgd with momentum", 1,
     [](auto& steps) { kernel::sgd_step({.lr = 0.1, .momentum = 0.9, .dampening = 0.5}, steps); }},
    {"sgd with nesterov", 1,
     [](auto& steps) { kernel::sgd_step({.lr = 0.1, .momentum = 0.9, .nesterov = true}, steps); }},
    {"adam", 2, [](auto& steps) { kernel::adam_step({.lr = 0.1, .weight_decay = 0.1}, steps); }},
    {"adamw", 2,
     [](auto& steps) {
       kernel::adam_step({.lr = 0.1, .weight_decay = 0.1, .decoupled_weight_decay = true}, steps);
     }},
    {"rmsprop", 1, [](auto& steps) { kernel::rmsprop_step({.lr = 0.1, .weight_decay = 0.1}, steps); }},
    {"rmsprop, centered, with momentum", 3,
     [](auto& steps) { kernel::rmsprop_step({.lr = 0.1, .momentum = 0.9, .centered = true}, steps); }}};

/// The parameters and their states after two steps; inputs: a parameter, its gradient, the next parameter ...
Tensors after_two_steps(const Optimizer& optimizer, const Tensors& inputs) {
  kernel::ParameterSteps steps;
  Tensors results;
  for (std::size_t i = 0; i < inputs.size(); i += 2) {
    const Tensor& x = inputs[i];
    kernel::ParameterStep step{
        .gradient = inputs[i + 1], .state = {}, .number = 0, .parameter = x.clone(Tag::data)};
    for (std::size_t k = 0; k < optimizer.states; ++k)
      step.state.push_back(Tensor::zeros(x.shape(), x.dtype(), Tag::data, x.device()));
    results.push_back(step.parameter);
    results.insert(results.end(), step.state.begin(), step.state.end());
    steps.steps.push_back(step);
  }
  for (int number = 1; number <= 2; ++number) {
    for (kernel::ParameterStep& step : steps.steps) step.number = number;
    optimizer.step(steps);
  }
  return results;
}

}  // namespace

TEST_CASE("optimizers on the GPU step as on the CPU", "[cuda][optimizer]") {
  std::vector<std::int64_t> sizes{1, 2048, 2049, 5000};  // a block takes 2048
  sizes.insert(sizes.end(), 120, 8);                     // and a launch 48 parameters
  for (const auto& [even, odd] :
       {std::pair{DType::f64, DType::f64}, {DType::f32, DType::f32}, {DType::f64, DType::f32}}) {
    Tensors inputs;
    for (std::size_t i = 0; i < sizes.size(); ++i)
      for (const std::uint64_t seed : {2 * i, 2 * i + 1})
        inputs.push_back(uniform({sizes[i]}, -1, 1, seed)(i % 2 == 0 ? even : odd));
    for (const Optimizer& optimizer : kOptimizers) {
      INFO(optimizer.name << ' ' << name_of(even) << ' ' << name_of(odd));
      compare(inputs, allowed(odd, 2 * kFormula),
              [&](const Tensors& in) { return after_two_steps(optimizer, in); });
    }
  }
}

TEST_CASE("an optimizer on the GPU steps 48 parameters in a launch", "[cuda][optimizer]") {
  const Tensor numbers = Tensor::full({3}, 1, DType::f32, Tag::data, cuda::device());
  for (const auto& [parameters, launches] : {std::pair{1, 1}, {48, 1}, {49, 2}, {96, 2}}) {
    kernel::ParameterSteps steps;
    for (int i = 0; i < parameters; ++i)
      steps.steps.push_back(
          {.gradient = numbers, .state = {}, .number = 1, .parameter = numbers.clone(Tag::data)});
    const std::int64_t before = gpu_host::counts().launches;
    kernel::sgd_step({.lr = 0.1}, steps);
    CHECK(gpu_host::counts().launches - before == launches);
  }
}

TEST_CASE("square_sum and magnitudes on the GPU are the CPU's", "[cuda][optimizer]") {
  constexpr std::int64_t kBlock = 64 * 256;  // elements that a block takes
  const auto both = [](const Tensors& in) {
    const kernel::Magnitudes range = kernel::magnitudes(in[0]);
    const double sum = kernel::square_sum(in[0], 0.5);
    return Tensors{
        Tensor::from<double>({sum, range.smallest, range.largest}, {3}).to(in[0].device(), Tag::data)};
  };
  for (const DType dtype : kEachType)
    for (const std::int64_t n : {std::int64_t{1}, std::int64_t{300}, kBlock, 3 * kBlock + 1, 257 * kBlock}) {
      if (n > 100 * kBlock && dtype != DType::bf16) continue;  // more blocks than one adds up at a time
      INFO(n << ' ' << name_of(dtype));
      compare({on_grid({n}, dtype)}, 0, both);
    }
  compare({with({300}, DType::f32, {{0, 0}, {299, kNaN}})}, 0, both);
  compare({with({2}, DType::f64, {{0, -kInfinity}, {1, -1e-310}})}, 0, both);
}

TEST_CASE("numbers at the edges are those of the CPU", "[cuda]") {
  const auto dtype = GENERATE(DType::f32, DType::f64);
  CAPTURE(name_of(dtype));
  const auto of = [dtype](std::initializer_list<double> numbers, const Shape& shape) {
    return Tensor::from<double>(numbers, shape).to(dtype, Tag::data);
  };
  SECTION("softmax and cross entropy of large logits") {
    const Tensor x = of({1e15, 1e15, 3, 5}, {2, 2});
    compare({x, Tensor::from<std::int64_t>({1, 0}, {2})}, allowed(dtype, kFormula), [](const Tensors& in) {
      Tensor y = like(in[0]);
      kernel::log_softmax(in[0], 1, y);
      Tensor loss = like(in[0], Shape{2});
      kernel::cross_entropy(in[0], in[1], Tensor(), 0.25, -100, 1, loss);
      Tensor dx = like(in[0]);
      kernel::cross_entropy_backward(in[0], in[1], Tensor(), 0.25, -100, 1, loss, dx);
      return Tensors{y, loss, dx};
    });
  }
  SECTION("norms of values whose squares f32 does not hold, and of an infinity") {
    for (const double last : {0.0, kInfinity})
      compare(
          {of({1e20, 1e20, last}, {3, 1}), of({1}, {1}), of({0}, {1})}, allowed(dtype, kFormula),
          [](const Tensors& in) {
            Tensor running_mean = in[2].clone(Tag::data);
            Tensor running_var = in[1].clone(Tag::data);
            Tensor mean = like(in[1]);
            Tensor rstd = like(in[1]);
            Tensor y = like(in[0]);
            Tensor none;
            kernel::batch_norm_training(in[0], in[1], in[2], 0.1, 1e-5, false, running_mean, running_var,
                                        mean, rstd, y, none);
            Tensor group_y = like(in[0], Shape{1, 3, 1});
            kernel::group_norm(in[0].reshape({1, 3, 1}), Tensor(), Tensor(), 1, 1e-5, mean, rstd, group_y);
            return Tensors{running_mean, running_var, y, group_y};
          });
  }
  SECTION("masks, and what they let pass") {
    compare({of({kNaN, -1, 0, -0.0, 2}, {5}), of({kNaN, kNaN, kInfinity, 1, kNaN}, {5})}, 0,
            [](const Tensors& in) {
              Tensor y = like(in[0]);
              Tensor mask({1}, DType::u8, Tag::saved, y.device());
              Tensor both({2, 1}, DType::u8, Tag::saved, y.device());
              Tensor dx[] = {like(y), like(y), like(y)};
              kernel::relu(in[0], y, mask);
              kernel::masked_backward(mask, in[1], dx[0]);
              kernel::leaky_relu_backward(mask, in[1], 0, dx[1]);
              kernel::abs(in[0], y, both);
              kernel::abs_backward(both, in[1], dx[2]);
              return Tensors{mask, both, dx[0], dx[1], dx[2]};
            });
  }
  SECTION("quotients, zeros and steps without weight decay") {
    compare({of({1, -0.0, 1e-30}, {3}), of({3, 2, 1e-20}, {3}), of({kInfinity, 1, 1}, {3})}, 0,
            [](const Tensors& in) {
              Tensor third = like(in[0]);
              kernel::broadcast_to(in[0], 3, third);
              Tensor dy = like(in[0]);
              kernel::div_backward(in[1], in[0], in[1], dy);
              Tensor shifted = like(in[0]);
              kernel::scale_shift(in[0], 2, kernel::kNoShift, shifted);
              Tensor signs = like(in[0]);
              Tensor ones = like(in[0]);
              kernel::fill(ones, 1);
              kernel::div(ones, shifted, signs);
              kernel::ParameterSteps steps;
              steps.steps.push_back(
                  {.gradient = in[0], .state = {}, .number = 1, .parameter = in[2].clone(Tag::data)});
              kernel::sgd_step({.lr = 0.1}, steps);
              return Tensors{third, dy, signs, steps.steps[0].parameter};
            });
  }
}

TEST_CASE("mse_loss on the GPU is the CPU's", "[cuda][loss]") {
  for (const DType dtype : kEachType)
    for (const std::int64_t n : {1, 300, 3 * 64 * 256 + 1}) {
      INFO(n << ' ' << name_of(dtype));
      const Tensors inputs{on_grid({n}, dtype), on_grid({n}, dtype, 2), on_grid({n}, dtype, 3)};
      compare(inputs, allowed(dtype, 4), [n](const Tensors& in) {
        Tensor mean = like(in[0], Shape{});
        kernel::mse_loss(in[0], in[1], static_cast<double>(n), mean);
        Tensor each = like(in[0]);
        kernel::mse_loss(in[0], in[1], 1, each);
        Tensor dx = like(in[0]);
        kernel::mse_loss_backward(in[0], in[1], static_cast<double>(n), mean, dx);
        Tensor dx_each = like(in[0]);
        kernel::mse_loss_backward(in[0], in[1], 1, in[2], dx_each);
        return Tensors{mean, each, dx, dx_each};
      });
    }
}

TEST_CASE("leaky_relu on the GPU takes each element once, in place, too", "[cuda][activation]") {
  for (const DType dtype : kEachType)
    compare({uniform({100})(dtype)}, 0, [](const Tensors& in) {
      Tensor y = in[0].clone(Tag::data);
      Tensor mask({13}, DType::u8, Tag::saved, y.device());
      kernel::leaky_relu(y, 0.5, y, mask);
      return Tensors{y, mask};
    });
}

TEST_CASE("batch norm on the GPU lets nothing back through a ReLU whose value is 0", "[cuda][batch_norm]") {
  for (const DType dtype : kWideTypes)
    compare({uniform({9, 1})(dtype), Tensor::zeros({1}, dtype)}, 0, [](const Tensors& in) {
      Tensor y = like(in[0]);
      Tensor mask({2}, DType::u8, Tag::saved, y.device());
      kernel::batch_norm_normalize(in[0], in[1], in[1], in[1], in[1], true, y, mask);
      return Tensors{y, mask};
    });
}

TEST_CASE("batch norm's gradient on the GPU goes onto a residual, in its memory, too", "[cuda][batch_norm]") {
  for (const DType dtype : kWideTypes)
    for (const bool training : {true, false})
      for (const Sign sign : {Sign::plus, Sign::minus}) {
        const auto image = uniform({3, 4, 5, 6});
        const auto channels = uniform({4}, 1, 2);
        // sums of 90 terms, times a normalized value below 6, twice a scale below 2
        compare({image(dtype), image(dtype), image(dtype), channels(dtype)},
                allowed(dtype, (90 + kFormula) * 6 * 4), [&](const Tensors& in) {
                  Tensor apart = like(in[0]);
                  Tensor in_place = in[2].clone(Tag::gradient);
                  Tensor none;
                  for (Tensor* dx : {&apart, &in_place})
                    kernel::batch_norm_backward(in[0], in[1], in[3], in[3], in[3], none, training,
                                                {dx == &apart ? in[2] : in_place, sign}, *dx, none, none);
                  return Tensors{apart, in_place};
                });
      }
}

TEST_CASE("kernels on the GPU whose threads take several elements leave a neighbour alone", "[cuda]") {
  for (const DType dtype : kWideTypes)
    compare({uniform({13, 1})(dtype), uniform({1}, 1, 2)(dtype)}, allowed(dtype, kFormula),
            [](const Tensors& in) {
              const Device device = in[0].device();
              Tensors wholes;
              for (int i = 0; i < 4; ++i)
                wholes.push_back(Tensor::full({16, 1}, 7, in[0].dtype(), Tag::data, device));
              Tensors parts;
              for (const Tensor& whole : wholes) parts.push_back(whole.slice(0, 13));
              Tensor mask({2}, DType::u8, Tag::saved, device);
              kernel::leaky_relu(in[0], 0.5, parts[0], mask);
              kernel::batch_norm_normalize(in[0], in[1], in[1], in[1], in[1], true, parts[1], mask);
              kernel::dropout(in[0], {1, 2}, 0.3, parts[2]);
              kernel::uniform({1, 2}, -1, 1, parts[3]);
              return wholes;
            });
}

TEST_CASE("dropout on the GPU keeps an element whose number is p, as the CPU does", "[cuda][random]") {
  const RandomStream stream{1, 2};
  compare({uniform({20}, 1, 2)(DType::f64)}, allowed(DType::f64, 3), [&](const Tensors& in) {
    Tensor y = like(in[0]);
    kernel::dropout(in[0], stream, uniform_at(stream, 5), y);
    return Tensors{y};
  });
}
