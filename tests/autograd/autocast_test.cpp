#include <retrace/autograd/autocast.h>
#include <retrace/autograd/ops.h>
#include <retrace/autograd/tape.h>

#include <memory>
#include <thread>

#include "../support/catch.h"
#include "../support/random_tensor.h"
#include "../support/throws.h"

using namespace retrace;
using namespace retrace::test;

namespace {

Tensor numbers(const Shape& shape, DType dtype = DType::f32, std::uint64_t seed = 1) {
  return random_tensor(shape, dtype, seed);
}

using Function = std::function<Var(const Var&)>;

Var conv_of(const Var& x) { return conv2d(reshape(x, {1, 1, 2, 2}), numbers({1, 1, 1, 1}), Var()); }

template <auto op>
Var norm_of(const Var& x) {
  Tensor mean = Tensor::zeros({2}, DType::f32);
  Tensor var = Tensor::full({2}, 1, DType::f32);
  return op(x, Tensor::full({2}, 1, DType::f32), Tensor::zeros({2}, DType::f32), mean, var, {});
}

}  // namespace

TEST_CASE("autocast scopes nest, and belong to their thread", "[autocast]") {
  CHECK_FALSE(Autocast::dtype());
  {
    const Autocast scope;
    CHECK(Autocast::dtype() == DType::bf16);
    {
      const Autocast off(std::nullopt);
      CHECK_FALSE(Autocast::dtype());
      const Autocast on(DType::bf16);
      CHECK(Autocast::dtype() == DType::bf16);
    }
    CHECK(Autocast::dtype() == DType::bf16);
    bool elsewhere = true;
    std::thread([&] { elsewhere = Autocast::dtype().has_value(); }).join();
    CHECK_FALSE(elsewhere);
  }
  CHECK_FALSE(Autocast::dtype());
  check_throws<DTypeError>([] { const Autocast scope(DType::f32); },
                           "[Autocast] dtype must be bf16 or f16, got f32");
  CHECK_FALSE(Autocast::dtype());
}

TEST_CASE("autocast chooses the types that PyTorch's chooses", "[autocast]") {
  struct Row {
    const char* name;
    Function op;
    DType of_f32, of_lower;
  };
  const DType f32 = DType::f32;
  const DType lower = GENERATE(DType::bf16, DType::f16);
  CAPTURE(name_of(lower));
  const Tensor labels = Tensor::from<std::int64_t>({1, 0}, {2});
  const std::vector<Row> rows = {
      {"matmul",
       [](const Var& x) {
         return matmul(x, numbers({2, 2}));
       },
       lower, lower},
      {"linear",
       [](const Var& x) {
         return linear(x, numbers({2, 2}), numbers({2}));
       },
       lower, lower},
      {"conv2d", conv_of, lower, lower},
      {"batch_norm", norm_of<&batch_norm>, f32, f32},
      {"batch_norm_relu", norm_of<&batch_norm_relu>, f32, f32},
      {"cross_entropy", [&](const Var& x) { return cross_entropy(x, labels); }, f32, f32},
      {"mse_loss",
       [](const Var& x) {
         return mse_loss(x, numbers({2, 2}));
       },
       f32, f32},
      {"softmax", [](const Var& x) { return softmax(x); }, f32, f32},
      {"log_softmax", [](const Var& x) { return log_softmax(x); }, f32, f32},
      {"exp", [](const Var& x) { return exp(x); }, f32, f32},
      {"log", [](const Var& x) { return log(x); }, f32, f32},
      {"square", [](const Var& x) { return square(x); }, f32, f32},
      {"reciprocal", [](const Var& x) { return 1 / x; }, f32, f32},
      {"sum", [](const Var& x) { return sum(x); }, f32, f32},
      {"mean", [](const Var& x) { return mean(x, {1}); }, f32, f32},
      {"relu", [](const Var& x) { return relu(x); }, f32, lower},
      {"tanh", [](const Var& x) { return tanh(x); }, f32, lower},
      {"scale_shift", [](const Var& x) { return 2 * x + 1; }, f32, lower},
      {"dropout", [](const Var& x) { return dropout(x, 0.5); }, f32, lower},
      {"max_pool2d",
       [](const Var& x) {
         return max_pool2d(reshape(x, {1, 1, 2, 2}));
       },
       f32, lower},
      {"permute", [](const Var& x) { return transpose(x, 0, 1); }, f32, lower},
      {"add",
       [](const Var& x) {
         return x + numbers({2, 2});
       },
       f32, f32},
      {"sub",
       [=](const Var& x) {
         return numbers({2, 2}, lower) - x;
       },
       f32, lower},
      {"mul",
       [=](const Var& x) {
         return x * numbers({2, 2}, lower);
       },
       f32, lower},
      {"div",
       [](const Var& x) {
         return numbers({2, 2}) / x;
       },
       f32, f32},
      {"concatenate",
       [=](const Var& x) {
         return concatenate({x, numbers({2, 2}, lower)});
       },
       f32, lower},
      {"concatenate",
       [](const Var& x) {
         return concatenate({x, x, numbers({2, 2})});
       },
       f32, f32},
  };
  const Autocast scope(lower);
  for (const Row& row : rows) {
    INFO(row.name);
    CHECK(row.op(numbers({2, 2})).dtype() == row.of_f32);
    CHECK(row.op(numbers({2, 2}, lower)).dtype() == row.of_lower);
  }
}

TEST_CASE("autocast to f16 casts bf16, too", "[autocast]") {
  const Autocast scope(DType::f16);
  const Var x = numbers({2, 2}, DType::bf16);
  CHECK(matmul(x, x).dtype() == DType::f16);
  CHECK(softmax(x).dtype() == DType::f32);
  CHECK(relu(x).dtype() == DType::bf16);
  CHECK((x + numbers({2, 2}, DType::f16)).dtype() == DType::f32);
}

TEST_CASE("autocast leaves f64 alone", "[autocast]") {
  const Autocast scope;
  const Tensor x = numbers({2, 2}, DType::f64);
  CHECK(matmul(x, x).dtype() == DType::f64);
  CHECK(softmax(x).dtype() == DType::f64);
  CHECK((Var(x) + numbers({2, 2}, DType::bf16)).dtype() == DType::f64);
}

TEST_CASE("without autocast types do not mix", "[autocast]") {
  const Tensor x = numbers({2, 2});
  const Tensor y = numbers({2, 2}, DType::bf16);
  check_throws<DTypeError>([&] { add(x, y); }, "[add] y must be f32 as x is, got bf16");
  check_throws<DTypeError>([&] { matmul(y, x); }, "[matmul] b must be bf16 as a is, got f32");
  check_throws<DTypeError>(
      [&] {
        concatenate({x, y});
      },
      "[concatenate] the xs must have one element type, got f32 and bf16");
  check_throws<DTypeError>(
      [&] { softmax(y); },
      "[softmax] x must be f32 or f64, got bf16; cast it to f32, or use Autocast, which does");
  CHECK(matmul(y, y).dtype() == DType::bf16);
}

TEST_CASE("cast: a differentiable conversion", "[autocast]") {
  Tape tape;
  const Var x = tape.watch(Tensor::from<float>({1.00390625F, 3}, {2}));
  const Var y = cast(x, DType::bf16);
  CHECK(y.dtype() == DType::bf16);
  CHECK(y.value().to_vector<double>() == std::vector<double>{1, 3});
  CHECK(cast(y, DType::bf16).value().shares_storage(y.value()));
  CHECK(tape.saved_bytes() == 0);
  tape.backward(y, Tensor::from<double>({0.5, 2}, {2}).to(DType::bf16, Tag::gradient));
  CHECK(tape.grad(x).dtype() == DType::f32);
  CHECK(tape.grad(x).to_vector<double>() == std::vector<double>{0.5, 2});
  const Tensor labels = Tensor::from<std::int64_t>({1}, {1});
  check_throws<DTypeError>([&] { cast(labels, DType::f32); },
                           "[cast] x must be f32, f64, bf16 or f16, got i64");
  check_throws<DTypeError>([&] { cast(x, DType::i64); }, "[cast] x must be f32, f64, bf16 or f16, got i64");
}

TEST_CASE("gradients have the types of what they belong to", "[autocast]") {
  Parameter w(numbers({3, 3}, DType::f32, 2));
  Tape tape;
  const Var x = tape.watch(numbers({2, 3}));
  Var y;
  {
    const Autocast scope;
    y = linear(x, w, Var());
    CHECK(y.dtype() == DType::bf16);
  }
  SECTION("as forward chose them, in whatever scope backward runs") {
    const Autocast scope;
    tape.backward(y, numbers({2, 3}, DType::bf16, 3));
    CHECK(tape.grad(x).dtype() == DType::f32);
    CHECK(w.grad().dtype() == DType::f32);
    CHECK(Autocast::dtype() == DType::bf16);
  }
  SECTION("or it is an error") {
    check_throws<DTypeError>(
        [&] {
          tape.backward(y, numbers({2, 3}));
        },
        "[backward] dy must have y's element type bf16, got f32");
  }
}

namespace {

/// y = 2x, whose gradient comes back in f64.
class Widening final : public TapeHook {
 public:
  std::string_view name() const override { return "widening"; }
  Tensors backward(Tensors dy, const BackwardPass&) override { return {dy[0].to(DType::f64, Tag::gradient)}; }
};

}  // namespace

TEST_CASE("a hook that returns a gradient of another type is caught", "[autocast]") {
  const auto run = [] {
    Tape tape;
    const Var x = tape.watch(numbers({2}));
    tape.backward(tape.attach({x}, {numbers({2})}, std::make_unique<Widening>()).front(), numbers({2}));
  };
  check_throws<GradientError>(run, "[widening] a gradient must have its value's element type f32, got f64");
}

TEST_CASE("a weight's copy lives as long as what needs it", "[autocast]") {
  Parameter w(numbers({64, 64}));
  const Tensor x = numbers({4, 64});
  const Autocast scope;
  Tape tape;
  const std::int64_t before = ledger().live(kStepTags);
  {
    const Var y = linear(x, w, Var());
    CHECK(ledger().live(kStepTags) - before == 2 * 2 * 4 * 64);  // y, and x for dw
  }
  const Var h = tape.watch(x);
  const std::int64_t between = ledger().live(kStepTags);
  const Var y = linear(h, w, Var());
  CHECK(ledger().live(kStepTags) - between == 2 * (2 * 4 * 64 + 64 * 64));  // and w for dx
}

TEST_CASE("a scope of Autocast that replaces another one holds", "[autocast]") {
  std::unique_ptr<Autocast> scope;
  for (int step = 0; step < 3; ++step) {
    scope = std::make_unique<Autocast>(DType::bf16);
    CHECK(Autocast::dtype() == DType::bf16);
  }
  auto off = std::make_unique<Autocast>(std::nullopt);
  scope.reset();
  CHECK(Autocast::dtype() == std::nullopt);
  off.reset();
  CHECK(Autocast::dtype() == std::nullopt);
}
