#include "../support/catch.h"

#include <retrace/core/kernels.h>
#include <retrace/core/threads.h>

using namespace retrace;

namespace {

template <class T>
Tensor counting(const Shape& shape) {
  Tensor x(shape, dtype_of<T>());
  std::int64_t next = 0;
  for (T& value : x.mutable_values<T>()) value = static_cast<T>(next++);
  return x;
}

/// The index of element i of a tensor of that shape.
std::vector<std::int64_t> index_of(const Shape& shape, std::int64_t i) {
  std::vector<std::int64_t> index(static_cast<std::size_t>(shape.rank()));
  for (int d = shape.rank() - 1; d >= 0; --d) {
    index[static_cast<std::size_t>(d)] = i % shape[d];
    i /= shape[d];
  }
  return index;
}

std::int64_t offset_of(const Shape& shape, const std::vector<std::int64_t>& index) {
  std::int64_t offset = 0;
  for (int d = 0; d < shape.rank(); ++d) offset = offset * shape[d] + index[static_cast<std::size_t>(d)];
  return offset;
}

struct Slice {
  Shape whole;
  int dim;
  std::int64_t begin, step, extent;
};

const std::vector<Slice> kSlices = {
    {{7}, 0, 2, 2, 3},
    {{3, 5}, 1, 1, 2, 2},
    {{3, 5}, 0, 1, 1, 2},
    {{2, 6, 3}, 1, 1, 2, 3},
    {{2, 6, 3}, 1, 2, 1, 4},
    {{2, 6, 3}, 2, 0, 2, 2},
    {{2, 4, 9, 300}, 1, 1, 2, 2},
    {{2, 4, 90, 300}, 1, 2, 1, 2},
    {{1, 2, 70, 300}, 1, 1, 1, 1},
    {{40000}, 0, 1, 2, 20000},
    {{3, 1}, 1, 0, 1, 1},
};

}  // namespace

TEST_CASE("copy and fill every element", "[core]") {
  const Tensor x = counting<std::int32_t>({3, 7001});
  Tensor y = like(x);
  kernel::copy(x, y);
  CHECK(y.to_vector<int>() == x.to_vector<int>());
  kernel::fill(y, 3);
  CHECK(y.to_vector<int>() == std::vector<int>(3 * 7001, 3));
  Tensor mask({5}, DType::u8);
  kernel::fill(mask, 255);
  CHECK(mask.to_vector<int>() == std::vector<int>(5, 255));
}

TEST_CASE("slice_copy and slice_write meet every element of a slice and no other", "[core]") {
  for (const Slice& slice : kSlices) {
    const Tensor x = counting<float>(slice.whole);
    Tensor y = like(x, slice.whole.with(slice.dim, slice.extent));
    kernel::slice_copy(x, slice.dim, slice.begin, slice.step, y);
    std::vector<float> expected;
    for (std::int64_t i = 0; i < y.numel(); ++i) {
      std::vector<std::int64_t> index = index_of(y.shape(), i);
      std::int64_t& moved = index[static_cast<std::size_t>(slice.dim)];
      moved = slice.begin + moved * slice.step;
      expected.push_back(static_cast<float>(offset_of(slice.whole, index)));
    }
    INFO(slice.whole << " dim " << slice.dim << " step " << slice.step);
    CHECK(y.to_vector<float>() == expected);

    Tensor whole = Tensor::full(slice.whole, -1, DType::f32);
    kernel::slice_write(y, slice.dim, slice.begin, slice.step, whole);
    std::vector<float> written(static_cast<std::size_t>(whole.numel()), -1.0F);
    for (const float at : expected) written[static_cast<std::size_t>(at)] = at;
    CHECK(whole.to_vector<float>() == written);
  }
}

TEST_CASE("slices hold any element type", "[core]") {
  const auto check = [](auto tag) {
    using T = typename decltype(tag)::type;
    Tensor y({2, 2}, dtype_of<T>());
    kernel::slice_copy(counting<T>({2, 4}), 1, 1, 2, y);
    CHECK(y.to_vector<int>() == std::vector<int>{1, 3, 5, 7});
    kernel::slice_copy(counting<T>({4, 2}), 0, 2, 1, y);
    CHECK(y.to_vector<int>() == std::vector<int>{4, 5, 6, 7});
  };
  for (const DType dtype : {DType::f32, DType::f64, DType::u8, DType::i32, DType::i64}) visit(dtype, check);
}

TEST_CASE("permute moves every element", "[core]") {
  struct Case {
    Shape shape;
    std::vector<int> dims;
  };
  const std::vector<Case> cases = {
      {{}, {}},
      {{5}, {0}},
      {{1, 1}, {1, 0}},
      {{2, 3}, {1, 0}},
      {{67, 129}, {1, 0}},
      {{2, 3, 4}, {2, 0, 1}},
      {{2, 3, 4}, {0, 2, 1}},
      {{2, 3, 4}, {1, 0, 2}},
      {{2, 1, 4}, {2, 1, 0}},
      {{3, 4, 5, 6}, {0, 2, 3, 1}},
      {{3, 40, 5, 60}, {3, 1, 2, 0}},
      {{300, 200}, {1, 0}},
  };
  for (const Case& c : cases) {
    const Tensor x = counting<double>(c.shape);
    const Permutation dims = permutation_of("permute", c.shape, c.dims);
    Tensor y = like(x, dims.applied_to(c.shape));
    kernel::permute(x, dims, y);
    std::vector<double> expected;
    for (std::int64_t i = 0; i < y.numel(); ++i) {
      const std::vector<std::int64_t> to = index_of(y.shape(), i);
      std::vector<std::int64_t> from(to.size());
      for (std::size_t d = 0; d < to.size(); ++d) from[static_cast<std::size_t>(c.dims[d])] = to[d];
      expected.push_back(static_cast<double>(offset_of(c.shape, from)));
    }
    INFO(c.shape << " to " << y.shape());
    CHECK(y.to_vector<double>() == expected);
    Tensor back = like(x);
    kernel::permute(y, dims.inverse(), back);
    CHECK(back.to_vector<double>() == x.to_vector<double>());
  }
}
