#include <retrace/core/error.h>
#include <retrace/core/random.h>
#include <retrace/core/tensor.h>

#include <cmath>
#include <numeric>
#include <sstream>

#include "../support/catch.h"
#include "../support/throws.h"

using namespace retrace;
using test::check_throws;

namespace {

Tensor counting(const Shape& shape) {
  Tensor x(shape, DType::f32);
  std::iota(x.mutable_values<float>().begin(), x.mutable_values<float>().end(), 0.0F);
  return x;
}

}  // namespace

TEST_CASE("a tensor is made from values and gives them back", "[tensor]") {
  const std::vector<float> values = {1, 2, 3, 4, 5, 6};
  const Tensor x = Tensor::from(std::span<const float>(values), {2, 3});
  CHECK(x.shape() == Shape{2, 3});
  CHECK(x.dtype() == DType::f32);
  CHECK(x.numel() == 6);
  CHECK(x.bytes() == 24);
  CHECK(x.storage().tag() == Tag::data);
  CHECK(x.to_vector<float>() == values);
  CHECK(x.to_vector<int>() == std::vector<int>{1, 2, 3, 4, 5, 6});
  CHECK(x.values<float>()[5] == 6);
  CHECK(Tensor::from<std::int64_t>({7, -8}, {2}).to_vector<double>() == std::vector<double>{7, -8});
  check_throws<ShapeError>(
      [] {
        return Tensor::from<double>({1, 2, 3}, {2, 2});
      },
      "[tensor] [2,2] needs 4 values, got 3");
}

TEST_CASE("full and zeros", "[tensor]") {
  CHECK(Tensor::full({2}, 1.5, DType::f64).to_vector<double>() == std::vector<double>{1.5, 1.5});
  CHECK(Tensor::zeros({3}, DType::u8).to_vector<int>() == std::vector<int>{0, 0, 0});
  CHECK(Tensor::full({}, 3, DType::i32).item() == 3);
  CHECK(Tensor::ones({2}, DType::bf16).to_vector<float>() == std::vector<float>{1, 1});
}

TEST_CASE("arange counts from start to before end, as PyTorch's", "[tensor]") {
  const auto numbers = [](const Tensor& x) { return x.to_vector<double>(); };
  CHECK(Tensor::arange(4).dtype() == DType::i64);
  CHECK(numbers(Tensor::arange(4)) == std::vector<double>{0, 1, 2, 3});
  CHECK(numbers(Tensor::arange(2, 8, 3)) == std::vector<double>{2, 5});
  CHECK(numbers(Tensor::arange(2, 9, 3)) == std::vector<double>{2, 5, 8});
  CHECK(numbers(Tensor::arange(3, -1, -2)) == std::vector<double>{3, 1});
  CHECK(Tensor::arange(0, 1, 0.25).dtype() == DType::f32);
  CHECK(numbers(Tensor::arange(0, 1, 0.25)) == std::vector<double>{0, 0.25, 0.5, 0.75});
  CHECK(numbers(Tensor::arange(2.5)) == std::vector<double>{0, 1, 2});
  CHECK(numbers(Tensor::arange(0, 0.3, 0.1, DType::f64)) == std::vector<double>{0, 0.1, 0.2});
  CHECK(numbers(Tensor::arange(0, 3, 1, DType::bf16)) == std::vector<double>{0, 1, 2});
  const std::string rule = "[arange] the step must lead from start to another end, got start ";
  check_throws<ArgumentError>([] { return Tensor::arange(0); }, rule + "0, end 0, step 1");
  check_throws<ArgumentError>([] { return Tensor::arange(0, 3, -1); }, rule + "0, end 3, step -1");
  check_throws<ArgumentError>([] { return Tensor::arange(0, 3, 0); }, rule + "0, end 3, step 0");
  check_throws<ArgumentError>([] { return Tensor::arange(0, 3, std::nan("")); }, rule + "0, end 3, step nan");
  check_throws<ArgumentError>([] { return Tensor::arange(1e16); },
                              "[arange] start and end must be in [-2^53,2^53], got 0 and 1e+16");
  check_throws<ArgumentError>([] { return Tensor::arange(0, 300, 1, DType::u8); },
                              "[arange] the numbers must fit into u8, got 0 to 299");
  check_throws<ShapeError>([] { return Tensor::arange(0, 1e15, 1e-15); },
                           "[arange] the product of the extents must be at most 2^59, got "
                           "[4611686018427387904]");
}

TEST_CASE("linspace has both ends", "[tensor]") {
  const auto numbers = [](const Tensor& x) { return x.to_vector<double>(); };
  CHECK(Tensor::linspace(0, 1, 5).dtype() == DType::f32);
  CHECK(numbers(Tensor::linspace(0, 1, 5)) == std::vector<double>{0, 0.25, 0.5, 0.75, 1});
  CHECK(numbers(Tensor::linspace(3, -3, 3)) == std::vector<double>{3, 0, -3});
  CHECK(numbers(Tensor::linspace(7, 9, 1)) == std::vector<double>{7});
  const auto tenths = numbers(Tensor::linspace(-0.1, 0.1, 6, DType::f64));
  for (std::size_t i = 0; i < 6; ++i) CHECK(tenths[i] == -tenths[5 - i]);
  CHECK(tenths.back() == 0.1);
  check_throws<ArgumentError>([] { return Tensor::linspace(0, 1, 0); },
                              "[linspace] steps must be at least 1, got 0");
  check_throws<ArgumentError>([] { return Tensor::linspace(0, std::nan(""), 2); },
                              "[linspace] start and end must be in [-2^53,2^53], got 0 and nan");
}

TEST_CASE("random tensors draw from the next stream", "[tensor]") {
  manual_seed(5);
  const RandomStream first = next_stream();
  manual_seed(5);
  const auto uniform = Tensor::rand({1000}, DType::f64).to_vector<double>();
  const auto normal = Tensor::randn({1000}, DType::f64).to_vector<double>();
  for (std::uint64_t i = 0; i < uniform.size(); ++i) CHECK(uniform[i] == uniform_at(first, i));
  // The mean of 1000 normal numbers is normal with standard deviation 1/sqrt(1000): 6 of those.
  const double mean = std::accumulate(normal.begin(), normal.end(), 0.0) / 1000;
  CHECK(std::abs(mean) < 6 / std::sqrt(1000.0));
  manual_seed(5);
  CHECK(Tensor::rand({1000}).dtype() == DType::f32);
  const Tensor same = Tensor::randn({1000}, DType::bf16);
  CHECK(same.dtype() == DType::bf16);
  CHECK(same.to_vector<float>()[7] == static_cast<float>(BFloat16(static_cast<float>(normal[7]))));
  check_throws<DTypeError>([] { return Tensor::rand({2}, DType::f16); },
                           "[rand] x must be f32 or f64, got f16");
  check_throws<DTypeError>([] { return Tensor::randn({2}, DType::i64); },
                           "[randn] x must be f32, f64, bf16 or f16, got i64");
}

TEST_CASE("an undefined tensor has no bytes", "[tensor]") {
  const Tensor none;
  CHECK(!none.defined());
  CHECK(to_string(none) == "tensor(undefined)");
  check_throws<ArgumentError>([&] { return none.data<float>(); },
                              "[tensor] a tensor that is used must be defined, got an undefined one");
}

TEST_CASE("copies share their bytes, clones do not", "[tensor]") {
  Tensor x = counting({3});
  CHECK(x.unique());
  const Tensor same = x;
  CHECK(!x.unique());
  const Tensor clone = x.clone(Tag::activation);
  CHECK(same.shares_storage(x));
  CHECK(!clone.shares_storage(x));
  CHECK(clone.storage().tag() == Tag::activation);
  x.mutable_data<float>()[0] = 9;
  CHECK(same.to_vector<int>() == std::vector<int>{9, 1, 2});
  CHECK(clone.to_vector<int>() == std::vector<int>{0, 1, 2});
  CHECK(!Tensor().shares_storage(Tensor()));
}

TEST_CASE("item is the number in a tensor of one", "[tensor]") {
  CHECK(Tensor::full({1, 1}, 2.5, DType::f32).item() == 2.5);
  check_throws<ShapeError>([] { return counting({2}).item(); },
                           "[item] the tensor must have one element, got [2]");
}

TEST_CASE("elements are asked for by their own type", "[tensor]") {
  Tensor x = counting({2});
  check_throws<DTypeError>([&] { return x.data<double>(); },
                           "[tensor] the elements are f32, but f64 was asked for");
  check_throws<DTypeError>([&] { return x.mutable_data<std::int64_t>(); },
                           "[tensor] the elements are f32, but i64 was asked for");
}

TEST_CASE("conversion rounds", "[tensor]") {
  const Tensor x = Tensor::from<double>({0.1, -2.75, 1e-50}, {3});
  CHECK(x.to(DType::f32, Tag::data).to_vector<float>() == std::vector<float>{0.1F, -2.75F, 0.0F});
  CHECK(x.to(DType::i32, Tag::data).to_vector<int>() == std::vector<int>{0, -2, 0});
  CHECK(x.to(DType::f64, Tag::parameter).storage().tag() == Tag::parameter);
}

TEST_CASE("reshape shares the bytes", "[tensor]") {
  const Tensor x = counting({2, 6});
  const Tensor y = x.reshape({3, 4});
  CHECK(y.shape() == Shape{3, 4});
  CHECK(y.shares_storage(x));
  CHECK(!x.storage().sliced());
  CHECK(x.reshape({4, -1}).shape() == Shape{4, 3});
  CHECK(x.reshape({-1}).shares_storage(x));
  check_throws<ShapeError>([&] { return x.reshape({5}); },
                           "[reshape] 12 elements must stay as many, got [5] for [2,6]");
}

TEST_CASE("slices of the leading dimension share the bytes", "[tensor]") {
  Tensor x = counting({4, 2});
  CHECK(!x.slice(0, 4).storage().sliced());
  Tensor rows = x.slice(1, 3);
  CHECK(rows.shape() == Shape{2, 2});
  CHECK(rows.to_vector<int>() == std::vector<int>{2, 3, 4, 5});
  CHECK(rows.slice(1, 2).to_vector<int>() == std::vector<int>{4, 5});
  CHECK(rows.shares_storage(x));
  CHECK(x.storage().sliced());
  rows.mutable_data<float>()[0] = -1;
  CHECK(x.to_vector<int>() == std::vector<int>{0, 1, -1, 3, 4, 5, 6, 7});
  x = Tensor();
  CHECK(!rows.unique());
  const char* const rule = "[slice] rows must satisfy 0 <= begin < end <= the first extent of [2,2], got ";
  check_throws<ShapeError>([&] { return rows.slice(1, 1); }, std::string(rule) + "[1,1)");
  check_throws<ShapeError>([&] { return rows.slice(-1, 1); }, std::string(rule) + "[-1,1)");
  check_throws<ShapeError>([&] { return rows.slice(0, 3); }, std::string(rule) + "[0,3)");
  check_throws<ShapeError>([&] { return Tensor::full({}, 0, DType::f32).slice(0, 1); },
                           "[slice] rows must satisfy 0 <= begin < end <= the first extent of [], got [0,1)");
}

TEST_CASE("like makes a tensor of the same kind", "[tensor]") {
  const Tensor x = Tensor::zeros({2, 3}, DType::f64);
  CHECK(like(x).shape() == Shape{2, 3});
  CHECK(like(x).dtype() == DType::f64);
  CHECK(like(x).storage().tag() == Tag::activation);
  CHECK(like(x, {5}, Tag::gradient).shape() == Shape{5});
  CHECK(like(x, {5}, Tag::gradient).storage().tag() == Tag::gradient);
}

TEST_CASE("writing changes the content number, reading does not", "[tensor]") {
  Tensor x = counting({2});
  const std::uint64_t content = x.storage().content();
  static_cast<void>(x.to_vector<float>());
  static_cast<void>(x.reshape({1, 2}).slice(0, 1));
  CHECK(x.storage().content() == content);
  static_cast<void>(x.mutable_values<float>());
  CHECK(x.storage().content() != content);
}

TEST_CASE("tensors print as nested rows", "[tensor]") {
  CHECK(to_string(Tensor::from<float>({1, 2.5, 3, 4}, {2, 2})) == "tensor([[1, 2.5],\n        [3, 4]], f32)");
  CHECK(to_string(Tensor::full({}, 0.1, DType::f64)) == "tensor(0.1, f64)");
  CHECK(to_string(Tensor::from<std::int64_t>({-1}, {1})) == "tensor([-1], i64)");
  CHECK(to_string(counting({8})) == "tensor([0, 1, 2, 3, 4, 5, 6, 7], f32)");
  CHECK(to_string(counting({9})) == "tensor([0, 1, 2, ..., 6, 7, 8], f32)");
  CHECK(to_string(counting({1000})) == "tensor([0, 1, 2, ..., 997, 998, 999], f32)");
  CHECK(to_string(counting({1, 2, 2})) == "tensor([[[0, 1],\n         [2, 3]]], f32)");
  std::ostringstream out;
  out << counting({2});
  CHECK(out.str() == "tensor([0, 1], f32)");
}

TEST_CASE("a released tensor says so and cannot be read", "[tensor]") {
  Tensor x = counting({2, 2});
  x.storage().release("the wrapper");
  CHECK(to_string(x) == "tensor([2,2], f32, released)");
  check_throws<ReleasedError>(
      [&] { return x.to_vector<float>(); },
      "[storage] a tensor that is read must hold its bytes, but the wrapper released them; "
      "they come back during backward, or set keep_input (for inverse, keep_input_inverse) to keep them");
}
