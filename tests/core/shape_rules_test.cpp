#include "../support/catch.h"

#include <retrace/core/error.h>
#include <retrace/core/shape_rules.h>

using namespace retrace;

namespace {

const Shape kImage{2, 16, 8, 8};

template <class E, class F>
void check_throws(const F& f, const std::string& text) {
  CHECK_THROWS_AS(f(), E);
  CHECK_THROWS_WITH(f(), text);
}

}  // namespace

TEST_CASE("a Size2d is two numbers, or one for both", "[shape_rules]") {
  CHECK(Size2d(3) == Size2d(3, 3));
  CHECK(!(Size2d(3) == Size2d(3, 4)));
  const Conv2dOptions options{.stride = 2, .padding = {1, 0}};
  CHECK(options.stride == Size2d(2, 2));
  CHECK(options.padding == Size2d(1, 0));
}

TEST_CASE("broadcast_shape takes equal extents and ones", "[shape_rules]") {
  CHECK(broadcast_shape("add", {2, 1, 4}, {3, 1}) == Shape{2, 3, 4});
  CHECK(broadcast_shape("add", {}, {5}) == Shape{5});
  check_throws<ShapeError>(
      [] {
        return broadcast_shape("add", {2, 3}, {2, 4});
      },
      "[add] the extents of x and y must be equal or 1, aligned at the last dimension, got [2,3] and [2,4]");
}

TEST_CASE("matmul_shape", "[shape_rules]") {
  CHECK(matmul_shape({2, 3}, {3, 5}) == Shape{2, 5});
  CHECK(matmul_shape({3, 2}, {5, 3}, {.transpose_a = true, .transpose_b = true}) == Shape{2, 5});
  CHECK(matmul_shape({7, 2, 3}, {3, 5}) == Shape{7, 2, 5});
  CHECK(matmul_shape({2, 3}, {4, 1, 3, 5}) == Shape{4, 1, 2, 5});
  CHECK(matmul_shape({6, 1, 2, 3}, {4, 3, 5}) == Shape{6, 4, 2, 5});
  check_throws<ShapeError>(
      [] {
        return matmul_shape({}, {3, 4});
      },
      "[matmul] a and b must have at least 1 dimension, got [] and [3,4]");
  check_throws<ShapeError>(
      [] {
        return matmul_shape({2, 3}, {4, 5});
      },
      "[matmul] a [2,3] has rows of 3 elements but b [4,5] has columns of 4");
  check_throws<ShapeError>(
      [] {
        return matmul_shape({2, 3}, {3, 4}, {.transpose_a = true, .transpose_b = true});
      },
      "[matmul] a [2,3] transposed has rows of 2 elements but b [3,4] transposed has columns of 4");
  check_throws<ShapeError>(
      [] {
        return matmul_shape({2, 2, 3}, {4, 3, 5});
      },
      "[matmul] the leading extents of a and b must be equal or 1, got [2,2,3] and [4,3,5]");
}

TEST_CASE("matmul_shape takes a vector for a row in front and for a column behind", "[shape_rules]") {
  CHECK(matmul_shape({3}, {3}) == Shape{});
  CHECK(matmul_shape({3}, {3, 4}) == Shape{4});
  CHECK(matmul_shape({2, 3}, {3}) == Shape{2});
  CHECK(matmul_shape({3}, {5, 3, 4}) == Shape{5, 4});
  CHECK(matmul_shape({5, 2, 3}, {3}) == Shape{5, 2});
  CHECK(matmul_shape({3}, {4, 3}, {.transpose_a = true, .transpose_b = true}) == Shape{4});
  check_throws<ShapeError>([] { return matmul_shape({3}, {4}); },
                           "[matmul] a [3] has rows of 3 elements but b [4] has columns of 4");
}

TEST_CASE("conv2d_shape", "[shape_rules]") {
  CHECK(conv2d_shape(kImage, {4, 16, 3, 3}) == Shape{2, 4, 6, 6});
  CHECK(conv2d_shape(kImage, {4, 16, 3, 3}, {.padding = 1}) == Shape{2, 4, 8, 8});
  CHECK(conv2d_shape(kImage, {4, 16, 3, 3}, {.stride = 2, .padding = 1}) == Shape{2, 4, 4, 4});
  CHECK(conv2d_shape(kImage, {4, 8, 3, 2}, {.stride = {1, 3}, .dilation = {3, 1}, .groups = 2}) ==
        Shape{2, 4, 2, 3});
}

TEST_CASE("conv2d_shape says what does not fit", "[shape_rules]") {
  const Shape w{32, 8, 3, 3};
  const auto with = [&](const Conv2dOptions& options) {
    return [&w, options] { return conv2d_shape(kImage, w, options); };
  };
  check_throws<ShapeError>(with({}), "[conv2d] x has 16 channels but w [32,8,3,3] expects 8");
  check_throws<ShapeError>(with({.groups = 4}),
                           "[conv2d] x has 4 channels in each of 4 groups but w [32,8,3,3] expects 8");
  check_throws<ShapeError>(
      with({.groups = 3}),
      "[conv2d] 3 groups must divide the 16 channels of x [2,16,8,8] and the 32 filters of w [32,8,3,3]");
  check_throws<ArgumentError>(with({.groups = 0}), "[conv2d] groups must be at least 1, got 0");
  check_throws<ArgumentError>(with({.stride = {1, 0}}), "[conv2d] stride must be at least 1, got (1,0)");
  check_throws<ArgumentError>(with({.padding = -1}), "[conv2d] padding must be at least 0, got (-1,-1)");
  check_throws<ArgumentError>(with({.padding = {std::int64_t{1} << 40, 0}}),
                              "[conv2d] padding must be at most 2147483647, got (1099511627776,0)");
  check_throws<ArgumentError>(with({.dilation = {0, 1}}), "[conv2d] dilation must be at least 1, got (0,1)");
  check_throws<ArgumentError>(with({.dilation = {1, std::int64_t{1} << 40}}),
                              "[conv2d] dilation must be at most 2147483647, got (1,1099511627776)");
  check_throws<ShapeError>(
      [] {
        return conv2d_shape({2, 16, 8}, {32, 16, 3, 3});
      },
      "[conv2d] x must be [N,C,H,W] and w [O,C/groups,h,w], got [2,16,8] and [32,16,3,3]");
  check_throws<ShapeError>(
      [] {
        return conv2d_shape(kImage, {1, 16, 9, 3});
      },
      "[conv2d] the filter must fit into the padded image, got (9,3) for (8,8)");
  check_throws<ShapeError>(
      [] {
        return conv2d_shape(kImage, {1, 16, 3, 4}, {.padding = {0, 1}, .dilation = {1, 4}});
      },
      "[conv2d] the filter must fit into the padded image, got (3,13) for (8,10)");
}

TEST_CASE("pool2d_shape", "[shape_rules]") {
  CHECK(pool2d_shape("max_pool2d", kImage) == Shape{2, 16, 4, 4});
  CHECK(pool2d_shape("max_pool2d", {1, 1, 7, 9}, {.kernel = 3, .stride = 2, .padding = 1}) ==
        Shape{1, 1, 4, 5});
  CHECK(pool2d_shape("max_pool2d", {1, 1, 7, 9}, {.kernel = {7, 2}, .stride = Size2d(1, 3)}) ==
        Shape{1, 1, 1, 3});
  const auto with = [](const Pool2dOptions& options) {
    return [options] { return pool2d_shape("max_pool2d", kImage, options); };
  };
  check_throws<ArgumentError>(with({.kernel = 0}), "[max_pool2d] kernel must be at least 1, got (0,0)");
  check_throws<ArgumentError>(
      with({.kernel = std::int64_t{1} << 40}),
      "[max_pool2d] kernel must be at most 2147483647, got (1099511627776,1099511627776)");
  check_throws<ArgumentError>(with({.stride = 0}), "[max_pool2d] stride must be at least 1, got (0,0)");
  check_throws<ArgumentError>(with({.padding = {0, -1}}),
                              "[max_pool2d] padding must be at least 0, got (0,-1)");
  check_throws<ArgumentError>(with({.kernel = 3, .padding = 2}),
                              "[max_pool2d] padding must be at most half of the kernel (3,3), got (2,2)");
  check_throws<ShapeError>(with({.kernel = {2, 9}}),
                           "[max_pool2d] the kernel (2,9) must fit into the padded image (8,8)");
  check_throws<ShapeError>(
      [] {
        return pool2d_shape("avg_pool2d", {2, 3});
      },
      "[avg_pool2d] x must be [N,C,H,W], got [2,3]");
  check_throws<ShapeError>(
      [] {
        return pool2d_shape("max_pool2d", {1, 1, 65536, 32768});
      },
      "[max_pool2d] the planes of x must have fewer than 2^31 elements, got [1,1,65536,32768]");
}

TEST_CASE("adaptive_pool2d_shape", "[shape_rules]") {
  CHECK(adaptive_pool2d_shape("adaptive_avg_pool2d", kImage, {1, 20}) == Shape{2, 16, 1, 20});
  check_throws<ArgumentError>(
      [] {
        return adaptive_pool2d_shape("adaptive_avg_pool2d", kImage, {1, 0});
      },
      "[adaptive_avg_pool2d] the output must be at least 1, got (1,0)");
  check_throws<ShapeError>([] { return adaptive_pool2d_shape("adaptive_avg_pool2d", {3}, 1); },
                           "[adaptive_avg_pool2d] x must be [N,C,H,W], got [3]");
}

TEST_CASE("embedding_shape puts the table's width behind the indices", "[shape_rules]") {
  CHECK(embedding_shape({}, {5, 3}) == Shape{3});
  CHECK(embedding_shape({2, 4}, {5, 3}) == Shape{2, 4, 3});
  check_throws<ShapeError>(
      [] {
        return embedding_shape({2}, {5, 3, 1});
      },
      "[embedding] weight must be [V,D], got [5,3,1]");
  check_throws<ShapeError>(
      [] {
        return embedding_shape({1, 1, 1, 1, 1, 1, 1, 1}, {5, 3});
      },
      "[embedding] indices must have fewer than 8 dimensions, got [1,1,1,1,1,1,1,1]");
}

TEST_CASE("a permutation applies, inverts and refuses what is none", "[shape_rules]") {
  const std::vector<int> dims = {2, -3, 1};
  const Permutation order = permutation_of("permute", {2, 3, 5}, dims);
  CHECK(order.applied_to({2, 3, 5}) == Shape{5, 2, 3});
  CHECK(order.inverse().applied_to({5, 2, 3}) == Shape{2, 3, 5});
  for (const std::vector<int>& wrong :
       {std::vector<int>{0, 1}, {0, 1, 1}, {0, 1, 3}, {0, 1, 2, 2}, {-4, 1, 2}})
    CHECK_THROWS_AS(permutation_of("permute", {2, 3, 5}, wrong), ShapeError);
}

TEST_CASE("aligned_shape puts ones in front", "[shape_rules]") {
  CHECK(aligned_shape({3, 4}, 4) == Shape{1, 1, 3, 4});
  CHECK(aligned_shape({}, 2) == Shape{1, 1});
  CHECK(aligned_shape({3}, 1) == Shape{3});
}

TEST_CASE("reduced_shape drops dimensions or keeps them at 1", "[shape_rules]") {
  const std::vector<int> dims = {0, -1};
  CHECK(reduced_shape("sum", {2, 3, 5}, dims, false).result == Shape{3});
  CHECK(reduced_shape("sum", {2, 3, 5}, dims, true).result == Shape{1, 3, 1});
  CHECK(reduced_shape("sum", {2, 3, 5}, dims, false).kept == Shape{1, 3, 1});
}

TEST_CASE("flattened_shape makes the last dimensions one", "[shape_rules]") {
  CHECK(flattened_shape({2, 3, 4, 5}, 1) == Shape{2, 60});
  CHECK(flattened_shape({2, 3, 4, 5}, 0) == Shape{120});
  CHECK(flattened_shape({2, 3, 4, 5}, -1) == Shape{2, 3, 4, 5});
  CHECK(flattened_shape({2, 3, 4, 5}, 1, 2) == Shape{2, 12, 5});
  CHECK(flattened_shape({2, 3, 4, 5}, 0, -2) == Shape{24, 5});
  CHECK(flattened_shape({2, 3}, 1, 1) == Shape{2, 3});
  CHECK(flattened_shape({}, 0) == Shape{1});
  CHECK(flattened_shape({}, -1, 0) == Shape{1});
  check_throws<ShapeError>([] { return flattened_shape({2}, 1); },
                           "[flatten] a dimension of x [2] must be in [-1,1), got 1");
  check_throws<ShapeError>(
      [] {
        return flattened_shape({2, 3}, 1, 0);
      },
      "[flatten] start_dim must not come after end_dim in x [2,3], got 1 and 0");
}

TEST_CASE("reshaped_shape finds the extent that is left open", "[shape_rules]") {
  const auto reshaped = [](const Shape& x, const std::vector<std::int64_t>& extents) {
    return reshaped_shape("reshape", x, extents);
  };
  CHECK(reshaped({2, 6}, {-1}) == Shape{12});
  CHECK(reshaped({2, 6}, {3, -1}) == Shape{3, 4});
  CHECK(reshaped({2, 6}, {-1, 12}) == Shape{1, 12});
  CHECK(reshaped({}, {-1}) == Shape{1});
  CHECK(reshaped({1, 1}, {}) == Shape{});
  check_throws<ShapeError>(
      [&] {
        return reshaped({2, 6}, {5, -1});
      },
      "[reshape] 12 elements must stay as many, got [5,-1] for [2,6]");
  check_throws<ShapeError>(
      [&] {
        return reshaped({2, 6}, {24, -1});
      },
      "[reshape] 12 elements must stay as many, got [24,-1] for [2,6]");
  check_throws<ShapeError>(
      [&] {
        return reshaped({2, 6}, {-1, -1});
      },
      "[reshape] at most one extent may be -1, got [-1,-1]");
  check_throws<ShapeError>(
      [&] {
        return reshaped({2, 6}, {-2, 6});
      },
      "[reshape] every extent must be at least 1, got [-2,6]");
}

TEST_CASE("a scalar counts as one dimension where a dimension is named", "[shape_rules]") {
  CHECK(dimension_of("softmax", {}, 0) == 0);
  CHECK(dimension_of("softmax", {}, -1) == 0);
  CHECK(dimension_of("softmax", {2, 3}, -2) == 0);
  const std::vector<int> only = {-1};
  CHECK(reduced_shape("sum", {}, only, true).result == Shape{});
  check_throws<ShapeError>([] { return dimension_of("softmax", {}, 1); },
                           "[softmax] a dimension of x [] must be in [-1,1), got 1");
}

TEST_CASE("results that no tensor can hold are named after the operation", "[shape_rules]") {
  check_throws<ShapeError>(
      [] {
        return adaptive_pool2d_shape("adaptive_avg_pool2d", {1, 1, 2, 2}, std::int64_t{1} << 31);
      },
      "[adaptive_avg_pool2d] the product of the extents must be at most 2^59, got "
      "[1,1,2147483648,2147483648]");
  check_throws<ShapeError>(
      [] {
        return conv2d_shape({1, 1, 1, 1}, {1, 1, 1, 1}, {.padding = 2147483647});
      },
      "[conv2d] the product of the extents must be at most 2^59, got [1,1,4294967295,4294967295]");
}

TEST_CASE("slice_rule counts the elements between begin and end", "[shape_rules]") {
  CHECK(slice_rule("slice", {2, 7}, -1, 1, 7, 2).shape == Shape{2, 3});
  CHECK(slice_rule("slice", {2, 7}, 1, 0, 7, 2).shape == Shape{2, 4});
  CHECK(slice_rule("slice", {2, 7}, -2, 1, 2, 5).shape == Shape{1, 7});
  CHECK(slice_rule("slice", {2, 7}, -1, 1, 7, 2).dim == 1);
}

TEST_CASE("concatenated_shape adds up one dimension", "[shape_rules]") {
  const std::vector<Shape> shapes = {{2, 3}, {2, 1}, {2, 4}};
  CHECK(concatenated_shape(shapes, -1) == Shape{2, 8});
}
