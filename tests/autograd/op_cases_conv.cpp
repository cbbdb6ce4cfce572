#include "../support/op_cases.h"

#include <retrace/autograd/ops.h>

namespace retrace::test {

namespace {

OpCase matmul_case(const char* name, const Shape& a, const Shape& b, MatmulOptions options = {}) {
  return {.name = name,
          .function = [options](const Vars& x) { return matmul(x[0], x[1], options); },
          .inputs = {uniform(a), uniform(b, -1, 1, 2)}};
}

OpCase conv2d_case(const char* name, const Shape& x, const Shape& w, Conv2dOptions options = {}) {
  return {.name = name,
          .function = [options](const Vars& v) { return conv2d(v[0], v[1], v[2], options); },
          .inputs = {uniform(x), uniform(w, -1, 1, 2), uniform({w[0]}, -1, 1, 3)}};
}

OpCase conv2d_onto_case(const char* name, const Shape& x, const Shape& w, Conv2dOptions options = {}) {
  OpCase onto = conv2d_case(name, x, w, options);
  onto.inputs.push_back(uniform(conv2d_shape(x, w, options), -1, 1, 4));
  onto.function = [options](const Vars& v) {
    Var residual = v[3];
    return conv2d_onto(residual, Sign::plus, v[0], v[1], v[2], options);
  };
  return onto;
}

/// Running statistics are made anew for each run: they are not what the check differentiates.
OpCase batch_norm_case(const char* name, const Shape& shape, bool training,
                       decltype(batch_norm)* op = &batch_norm) {
  return {.name = name,
          .function =
              [training, op](const Vars& v) {
                const Shape channels{v[0].shape()[1]};
                Tensor mean = Tensor::full(channels, 0.25, wider(v[0].dtype(), DType::f32), Tag::data,
                                           v[0].value().device());
                Tensor var = Tensor::full(channels, 0.5, wider(v[0].dtype(), DType::f32), Tag::data,
                                          v[0].value().device());
                return op(v[0], v[1], v[2], mean, var, {.training = training});
              },
          .inputs = {uniform(shape, -2, 3), uniform({shape[1]}, 0.5, 1.5, 2), uniform({shape[1]}, -1, 1, 3)}};
}

template <class F>
OpCase pool_case(const char* name, const Shape& x, const F& pool) {
  return {.name = name, .function = [pool](const Vars& v) { return pool(v[0]); }, .inputs = {distinct(x)}};
}

}  // namespace

std::vector<OpCase> matmul_cases() {
  const auto linear_of = [](const Vars& x) { return linear(x[0], x[1], x[2]); };
  return {
      {.name = "matmul [2,2] [2,2], literals",
       .function = [](const Vars& x) { return matmul(x[0], x[1]); },
       .inputs = {values({2, 2}, {1, 2, 3, 4}), values({2, 2}, {5, 6, 7, 8})},
       .expected = {19, 22, 43, 50},
       .expected_gradients = {{11, 15, 11, 15}, {4, 4, 6, 6}}},
      matmul_case("matmul [3,4] [4,5]", {3, 4}, {4, 5}),
      matmul_case("matmul [4,3]^T [4,5]", {4, 3}, {4, 5}, {.transpose_a = true}),
      matmul_case("matmul [3,4] [5,4]^T", {3, 4}, {5, 4}, {.transpose_b = true}),
      matmul_case("matmul [4,3]^T [5,4]^T", {4, 3}, {5, 4}, {.transpose_a = true, .transpose_b = true}),
      matmul_case("matmul [4] [4]", {4}, {4}),
      matmul_case("matmul [4] [4,5]", {4}, {4, 5}),
      matmul_case("matmul [3,4] [4]", {3, 4}, {4}),
      matmul_case("matmul [4] [2,5,4]^T", {4}, {2, 5, 4}, {.transpose_b = true}),
      matmul_case("matmul [2,4,3]^T [4]", {2, 4, 3}, {4}, {.transpose_a = true}),
      matmul_case("matmul [2,3,4] [2,4,5]", {2, 3, 4}, {2, 4, 5}),
      matmul_case("matmul [2,3,4] [4,5]", {2, 3, 4}, {4, 5}),
      matmul_case("matmul [2,3,4] [5,4]^T", {2, 3, 4}, {5, 4}, {.transpose_b = true}),
      matmul_case("matmul [2,4,3]^T [4,5]", {2, 4, 3}, {4, 5}, {.transpose_a = true}),
      matmul_case("matmul [2,4,3]^T [5,4]^T", {2, 4, 3}, {5, 4}, {.transpose_a = true, .transpose_b = true}),
      matmul_case("matmul [3,4] [2,4,5]", {3, 4}, {2, 4, 5}),
      matmul_case("matmul [2,1,3,4] [1,3,4,2]", {2, 1, 3, 4}, {1, 3, 4, 2}),
      matmul_case("matmul [2,1,3,4] [3,2,4]^T", {2, 1, 3, 4}, {3, 2, 4}, {.transpose_b = true}),
      {.name = "linear [2,3] [2,3] [2], literals",
       .function = linear_of,
       .inputs = {values({2, 3}, {1, 2, 3, 4, 5, 6}), values({2, 3}, {1, 0, -1, 2, 1, 0}),
                  values({2}, {10, 20})},
       .expected = {8, 24, 8, 33},
       .expected_gradients = {{3, 1, -1, 3, 1, -1}, {5, 7, 9, 5, 7, 9}, {2, 2}}},
      {.name = "linear [2,3,4] [5,4] [5]",
       .function = linear_of,
       .inputs = {uniform({2, 3, 4}), uniform({5, 4}, -1, 1, 2), uniform({5}, -1, 1, 3)}},
      {.name = "linear [4] [5,4], no bias",
       .function = [](const Vars& x) { return linear(x[0], x[1]); },
       .inputs = {uniform({4}), uniform({5, 4}, -1, 1, 2)}},
  };
}

std::vector<OpCase> conv2d_cases() {
  return {
      {.name = "conv2d 3 x 3 and 2 x 2, literals",
       .function = [](const Vars& x) { return conv2d(x[0], x[1]); },
       .inputs = {values({1, 1, 3, 3}, {1, 2, 3, 4, 5, 6, 7, 8, 9}), values({1, 1, 2, 2}, {1, 2, 3, 4})},
       .expected = {37, 47, 67, 77},
       .expected_gradients = {{1, 3, 2, 4, 10, 6, 3, 7, 4}, {12, 16, 24, 28}}},
      {.name = "conv2d 3 x 3 with padding, literals",
       .function = [](const Vars& x) { return conv2d(x[0], x[1], x[2], {.padding = 1}); },
       .inputs = {values({1, 1, 2, 2}, {1, 2, 3, 4}), values({1, 1, 3, 3}, {1, 2, 3, 4, 5, 6, 7, 8, 9}),
                  values({1}, {100})},
       .expected = {177, 167, 147, 137},
       .expected_gradients = {{12, 16, 24, 28}, {1, 3, 2, 4, 10, 6, 3, 7, 4}, {4}}},
      conv2d_case("conv2d [2,3,5,4] 3 x 3", {2, 3, 5, 4}, {4, 3, 3, 3}),
      conv2d_case("conv2d [2,3,8,8] 3 x 3, padding 1", {2, 3, 8, 8}, {4, 3, 3, 3}, {.padding = 1}),
      conv2d_case("conv2d [1,2,16,16] 3 x 3, padding 1", {1, 2, 16, 16}, {3, 2, 3, 3}, {.padding = 1}),
      conv2d_case("conv2d [2,3,5,4] 1 x 1", {2, 3, 5, 4}, {4, 3, 1, 1}),
      conv2d_case("conv2d [2,2,7,5] 3 x 3, stride 2", {2, 2, 7, 5}, {3, 2, 3, 3},
                  {.stride = 2, .padding = 1}),
      conv2d_case("conv2d [2,4,6,5] 3 x 2, everything", {2, 4, 6, 5}, {6, 2, 3, 2},
                  {.stride = {1, 2}, .padding = {2, 1}, .dilation = {2, 3}, .groups = 2}),
      conv2d_onto_case("conv2d onto a residual, 3 x 3", {2, 8, 8, 8}, {9, 8, 3, 3}, {.padding = 1}),
      conv2d_onto_case("conv2d onto a residual, 1 x 1", {2, 3, 5, 4}, {4, 3, 1, 1}),
  };
}

std::vector<OpCase> batch_norm_cases() {
  return {
      {.name = "batch_norm training, literals",
       .function =
           [](const Vars& v) {
             Tensor mean =
                 Tensor::zeros({1}, wider(v[0].dtype(), DType::f32), Tag::data, v[0].value().device());
             Tensor var =
                 Tensor::full({1}, 1, wider(v[0].dtype(), DType::f32), Tag::data, v[0].value().device());
             return batch_norm(v[0], v[1], v[2], mean, var, {.eps = 0.25});
           },
       .inputs = {values({3, 1}, {1, 2.5, 4}), values({1}, {3}), values({1}, {10})},
       // mean 2.5, variance 1.5, 1 / sqrt(1.5 + 0.25) = 0.7559289460184544
       .expected = {6.598319742916955, 10, 13.401680257083045},
       .expected_gradients = {{0, 0, 0}, {0}, {3}}},
      {.name = "batch_norm evaluation, literals",
       .function =
           [](const Vars& v) {
             Tensor mean =
                 Tensor::full({1}, 1, wider(v[0].dtype(), DType::f32), Tag::data, v[0].value().device());
             Tensor var =
                 Tensor::full({1}, 3.75, wider(v[0].dtype(), DType::f32), Tag::data, v[0].value().device());
             return batch_norm(v[0], v[1], v[2], mean, var, {.training = false, .eps = 0.25});
           },
       .inputs = {values({2, 1}, {1, 2}), values({1}, {3}), values({1}, {10})},
       .expected = {10, 11.5},
       .expected_gradients = {{1.5, 1.5}, {0.5}, {2}}},
      batch_norm_case("batch_norm training [3,2,2,3]", {3, 2, 2, 3}, true),
      batch_norm_case("batch_norm training [5,4]", {5, 4}, true),
      batch_norm_case("batch_norm training [2,1,33,35]", {2, 1, 33, 35}, true),
      batch_norm_case("batch_norm evaluation [3,2,2,3]", {3, 2, 2, 3}, false),
      batch_norm_case("batch_norm evaluation [5,4]", {5, 4}, false),
      {.name = "batch_norm_relu training, literals",
       .function =
           [](const Vars& v) {
             Tensor mean =
                 Tensor::zeros({1}, wider(v[0].dtype(), DType::f32), Tag::data, v[0].value().device());
             Tensor var =
                 Tensor::full({1}, 1, wider(v[0].dtype(), DType::f32), Tag::data, v[0].value().device());
             return batch_norm_relu(v[0], v[1], v[2], mean, var, {.eps = 0.25});
           },
       .inputs = {values({3, 1}, {1, 2.5, 4}), values({1}, {3}), values({1}, {1})},
       // r = 1 / sqrt(1.5 + 0.25); 3 (-1.5 r) + 1 < 0. dz = 0, 1, 1 and xhat = -1.5 r, 0, 1.5 r:
       // dgamma = 1.5 r, dbeta = 2, dx = 3 r (dz - 2 / 3 - xhat dgamma / 3).
       .expected = {0, 1, 4.401680257083045},
       .expected_gradients = {{-0.5399492471560388, 0.7559289460184544, -0.2159796988624156},
                              {1.1338934190276817},
                              {2}}},
      batch_norm_case("batch_norm_relu training [3,2,4,4]", {3, 2, 4, 4}, true, &batch_norm_relu),
      batch_norm_case("batch_norm_relu training [2,2,8,12]", {2, 2, 8, 12}, true, &batch_norm_relu),
      batch_norm_case("batch_norm_relu training [3,2,2,3]", {3, 2, 2, 3}, true, &batch_norm_relu),
      batch_norm_case("batch_norm_relu evaluation [3,2,4,4]", {3, 2, 4, 4}, false, &batch_norm_relu),
      batch_norm_case("batch_norm_relu evaluation [5,4]", {5, 4}, false, &batch_norm_relu),
  };
}

std::vector<OpCase> pool_cases() {
  return {
      {.name = "max_pool2d 2 x 2, literals",
       .function = [](const Vars& x) { return max_pool2d(x[0]); },
       .inputs = {values({1, 1, 2, 4}, {1, 2, 8, 7, 4, 3, 5, 6})},
       .expected = {4, 8},
       .expected_gradients = {{0, 0, 1, 0, 1, 0, 0, 0}}},
      {.name = "avg_pool2d 2 x 2 with padding, literals",
       .function = [](const Vars& x) { return avg_pool2d(x[0], {.kernel = 2, .padding = 1}); },
       .inputs = {values({1, 1, 2, 2}, {4, 8, 12, 16})},
       .expected = {1, 2, 3, 4},
       .expected_gradients = {{0.25, 0.25, 0.25, 0.25}}},
      {.name = "adaptive_avg_pool2d to 1 x 1, literals",
       .function = [](const Vars& x) { return adaptive_avg_pool2d(x[0], 1); },
       .inputs = {values({1, 2, 1, 2}, {1, 2, 3, 6})},
       .expected = {1.5, 4.5},
       .expected_gradients = {{0.5, 0.5, 0.5, 0.5}}},
      {.name = "max_pool2d with ties",
       .function = [](const Vars& x) { return max_pool2d(x[0]); },
       .inputs = {with_zeros({2, 1, 4, 4})},
       .on_kinks = true},
      pool_case("max_pool2d [2,2,4,6] 2 x 2", {2, 2, 4, 6}, [](const Var& x) { return max_pool2d(x); }),
      pool_case("max_pool2d [1,2,7,5] 3 x 3, stride 2, padding 1", {1, 2, 7, 5},
                [](const Var& x) { return max_pool2d(x, {.kernel = 3, .stride = 2, .padding = 1}); }),
      pool_case("avg_pool2d [2,2,5,6] 3 x 2, stride 1, padding 1", {2, 2, 5, 6},
                [](const Var& x) {
                  return avg_pool2d(x, {.kernel = {3, 2}, .stride = 1, .padding = 1});
                }),
      pool_case("adaptive_avg_pool2d [2,2,5,7] to 2 x 3", {2, 2, 5, 7},
                [](const Var& x) {
                  return adaptive_avg_pool2d(x, {2, 3});
                }),
      pool_case("adaptive_avg_pool2d [1,2,2,3] to 4 x 4", {1, 2, 2, 3},
                [](const Var& x) { return adaptive_avg_pool2d(x, 4); }),
  };
}

}  // namespace retrace::test
