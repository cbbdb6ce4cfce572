#include "ops.h"

#include <retrace/autograd/ops.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>

#include "bomb.h"

namespace retrace::fuzz {

namespace {

using Table = std::map<std::string, OpRow>;

std::int64_t integer(const Statement& s, std::size_t i) { return static_cast<std::int64_t>(s.numbers[i]); }
int small(const Statement& s, std::size_t i) { return static_cast<int>(s.numbers[i]); }
bool flag(const Statement& s, std::size_t i) { return s.numbers[i] != 0; }

auto of_rank(int low, int high) {
  return [low, high](const Shape& shape) { return shape.rank() >= low && shape.rank() <= high; };
}

bool take(Source& source, Statement& s, const std::function<bool(const Shape&)>& fits) {
  const std::optional<Value> value = source.value(fits);
  if (value) s.inputs.push_back(*value);
  return value.has_value();
}

/// A dimension of `shape`, sometimes counted from the end.
double dimension(Random& random, const Shape& shape) {
  return static_cast<double>(random.integer(-shape.rank(), shape.rank() - 1));
}

double sign(Random& random) { return random.chance(0.5) ? 1 : -1; }

// Elementwise operations of one variable.

void add_unary(Table& table, const std::string& name, const std::function<Var(const Var&)>& f) {
  table[name] = {[](Source& source, Statement& s) { return take(source, s, of_rank(0, 8)); },
                 [f](const Statement&, Vars x) { return Vars{f(x[0])}; }};
}

/// With `count` numbers in [low, high).
void add_unary(Table& table, const std::string& name, int count, double low, double high,
               const std::function<Var(const Var&, const std::vector<double>&)>& f) {
  table[name] = {[=](Source& source, Statement& s) {
                   for (int i = 0; i < count; ++i) s.numbers.push_back(source.random().uniform(low, high));
                   std::sort(s.numbers.begin(), s.numbers.end());
                   return take(source, s, of_rank(0, 8));
                 },
                 [f](const Statement& s, Vars x) { return Vars{f(x[0], s.numbers)}; }};
}

void add_elementwise(Table& table) {
  add_unary(table, "relu", [](const Var& x) { return relu(x); });
  add_unary(table, "abs", [](const Var& x) { return abs(x); });
  add_unary(table, "neg", [](const Var& x) { return -x; });
  add_unary(table, "exp", [](const Var& x) { return exp(x); });
  add_unary(table, "log_of_square", [](const Var& x) { return log(square(x) + 0.5); });
  add_unary(table, "sqrt_of_square", [](const Var& x) { return sqrt(square(x) + 0.5); });
  add_unary(table, "square", [](const Var& x) { return square(x); });
  add_unary(table, "tanh", [](const Var& x) { return tanh(x); });
  add_unary(table, "sigmoid", [](const Var& x) { return sigmoid(x); });
  add_unary(table, "silu", [](const Var& x) { return silu(x); });
  add_unary(table, "gelu", [](const Var& x) { return gelu(x); });
  add_unary(table, "gelu_tanh", [](const Var& x) { return gelu(x, GeluApproximation::tanh); });
  add_unary(table, "sum", [](const Var& x) { return sum(x); });
  add_unary(table, "mean", [](const Var& x) { return mean(x); });
  add_unary(table, "bomb", [](const Var& x) { return bomb(x, Failure::throws); });
  add_unary(table, "cast", [](const Var& x) { return cast(x, DType::f64); });
  add_unary(table, "leaky_relu", 1, 0.01, 0.5, [](const Var& x, auto& n) { return leaky_relu(x, n[0]); });
  add_unary(table, "clamp", 2, -1, 1, [](const Var& x, auto& n) { return clamp(x, n[0], n[1]); });
  add_unary(table, "scale_shift", 2, -2, 2, [](const Var& x, auto& n) { return scale_shift(x, n[1], n[0]); });
  add_unary(table, "minus", 1, -2, 2, [](const Var& x, auto& n) { return n[0] - x; });
  add_unary(table, "divided", 1, 0.5, 2, [](const Var& x, auto& n) { return x / n[0]; });
  add_unary(table, "reciprocal_of_square", 1, -2, 2,
            [](const Var& x, auto& n) { return reciprocal(square(x) + 1.0, n[0]); });
  add_unary(table, "dropout", 1, 0, 0.9, [](const Var& x, auto& n) { return dropout(x, n[0]); });
  add_unary(table, "dropout_in_evaluation", 1, 0, 0.9,
            [](const Var& x, auto& n) { return dropout(x, n[0], false); });
}

// Operations of two variables.

/// A shape that broadcasts with `shape`.
Shape broadcasting(Random& random, const Shape& shape) {
  std::vector<std::int64_t> extents(shape.begin(), shape.end());
  if (random.chance(0.5)) return shape;
  if (!extents.empty() && random.chance(0.5))
    extents.erase(extents.begin(), extents.begin() + random.integer(1, shape.rank()));
  for (std::int64_t& extent : extents)
    if (random.chance(0.3)) extent = 1;
  return Shape(extents);
}

bool take_two(Source& source, Statement& s, bool broadcast) {
  if (!take(source, s, of_rank(0, 8))) return false;
  const Shape first = source.shape(s.inputs[0]);
  const Shape second = broadcast ? broadcasting(source.random(), first) : first;
  const std::optional<Value> other = source.value([&](const Shape& shape) { return shape == second; });
  s.inputs.push_back(other && source.random().chance(0.7) ? *other : source.input(second));
  if (source.random().chance(0.5)) std::swap(s.inputs[0], s.inputs[1]);
  return true;
}

void add_binary(Table& table, const std::string& name, const std::function<Var(const Var&, const Var&)>& f) {
  table[name] = {[](Source& source, Statement& s) { return take_two(source, s, true); },
                 [f](const Statement&, Vars x) { return Vars{f(x[0], x[1])}; }};
}

void add_two_operands(Table& table) {
  add_binary(table, "add", [](const Var& x, const Var& y) { return x + y; });
  add_binary(table, "sub", [](const Var& x, const Var& y) { return x - y; });
  add_binary(table, "mul", [](const Var& x, const Var& y) { return x * y; });
  add_binary(table, "div_by_square", [](const Var& x, const Var& y) { return x / (square(y) + 1.0); });
  for (const bool squared : {true, false})
    table[squared ? "mse_loss" : "l1_loss"] = {
        [](Source& source, Statement& s) {
          s.numbers = {static_cast<double>(source.random().integer(0, 2))};
          return take_two(source, s, false);
        },
        [squared](const Statement& s, Vars x) {
          const auto reduction = static_cast<Reduction>(small(s, 0));
          return Vars{squared ? mse_loss(x[0], x[1], reduction) : l1_loss(x[0], x[1], reduction)};
        }};
  table["concatenate"] = {[](Source& source, Statement& s) {
                            if (!take(source, s, of_rank(1, 8))) return false;
                            const Shape shape = source.shape(s.inputs[0]);
                            s.numbers = {dimension(source.random(), shape)};
                            const int dim = shape.dimension(small(s, 0));
                            for (std::int64_t more = source.random().integer(0, 2); more > 0; --more)
                              take(source, s, [&](const Shape& other) {
                                return other.rank() == shape.rank() &&
                                       other.without(dim) == shape.without(dim);
                              });
                            return true;
                          },
                          [](const Statement& s, Vars x) { return Vars{concatenate(x, small(s, 0))}; }};
}

// Shapes.

bool take_with_dimension(Source& source, Statement& s) {
  if (!take(source, s, of_rank(1, 8))) return false;
  s.numbers.push_back(dimension(source.random(), source.shape(s.inputs[0])));
  return true;
}

void add_reductions(Table& table) {
  for (const bool of_mean : {true, false})
    table[of_mean ? "mean_over" : "sum_over"] = {
        [](Source& source, Statement& s) {
          if (!take(source, s, of_rank(1, 8))) return false;
          s.numbers = {source.random().chance(0.5) ? 1.0 : 0.0};
          const int rank = source.shape(s.inputs[0]).rank();
          for (int d = 0; d < rank; ++d)
            if (source.random().chance(0.5)) s.numbers.push_back(source.random().chance(0.5) ? d : d - rank);
          return s.numbers.size() > 1;
        },
        [of_mean](const Statement& s, Vars x) {
          const std::vector<int> dims(s.numbers.begin() + 1, s.numbers.end());
          return Vars{of_mean ? mean(x[0], dims, flag(s, 0)) : sum(x[0], dims, flag(s, 0))};
        }};
  for (const bool logarithm : {true, false})
    table[logarithm ? "log_softmax" : "softmax"] = {
        take_with_dimension, [logarithm](const Statement& s, Vars x) {
          return Vars{logarithm ? log_softmax(x[0], small(s, 0)) : softmax(x[0], small(s, 0))};
        }};
}

/// The extents of x in another order, or all in one.
bool choose_reshape(Source& source, Statement& s) {
  if (!take(source, s, of_rank(1, 6))) return false;
  const Shape shape = source.shape(s.inputs[0]);
  std::vector<double> extents(shape.begin(), shape.end());
  for (std::size_t i = extents.size(); i > 1; --i)
    std::swap(
        extents[i - 1],
        extents[static_cast<std::size_t>(source.random().integer(0, static_cast<std::int64_t>(i) - 1))]);
  if (source.random().chance(0.3)) {
    extents.front() *= extents.back();
    extents.size() > 1 ? extents.pop_back() : extents.push_back(1);
    if (static_cast<double>(shape.numel()) !=
        std::accumulate(extents.begin(), extents.end(), 1.0, std::multiplies<>()))
      return false;
  }
  s.numbers = extents;
  return true;
}

Shape shape_of(const std::vector<double>& numbers) {
  const std::vector<std::int64_t> extents(numbers.begin(), numbers.end());
  return Shape(extents);
}

bool choose_permutation(Source& source, Statement& s) {
  if (!take(source, s, of_rank(1, 8))) return false;
  for (int d = 0; d < source.shape(s.inputs[0]).rank(); ++d)
    s.numbers.insert(s.numbers.begin() + source.random().integer(0, d), d);
  return true;
}

bool choose_slice(Source& source, Statement& s) {
  if (!take_with_dimension(source, s)) return false;
  const std::int64_t extent = source.shape(s.inputs[0])[small(s, 0)];
  const std::int64_t begin = source.random().integer(0, extent - 1);
  s.numbers.push_back(static_cast<double>(begin));
  s.numbers.push_back(static_cast<double>(source.random().integer(begin + 1, extent)));
  s.numbers.push_back(static_cast<double>(source.random().integer(1, 3)));
  return true;
}

/// Sizes that add up to the extent.
bool choose_split(Source& source, Statement& s) {
  if (!take_with_dimension(source, s)) return false;
  std::int64_t left = source.shape(s.inputs[0])[small(s, 0)];
  s.outputs = 0;
  for (; left > 0; ++s.outputs) {
    s.numbers.push_back(static_cast<double>(source.random().integer(1, left)));
    left -= static_cast<std::int64_t>(s.numbers.back());
  }
  return true;
}

void add_shapes(Table& table) {
  table["reshape"] = {choose_reshape,
                      [](const Statement& s, Vars x) { return Vars{reshape(x[0], shape_of(s.numbers))}; }};
  table["flatten"] = {take_with_dimension,
                      [](const Statement& s, Vars x) { return Vars{flatten(x[0], small(s, 0))}; }};
  table["permute"] = {choose_permutation, [](const Statement& s, Vars x) {
                        return Vars{permute(x[0], std::vector<int>(s.numbers.begin(), s.numbers.end()))};
                      }};
  table["transpose"] = {
      [](Source& source, Statement& s) {
        if (!take_with_dimension(source, s)) return false;
        s.numbers.push_back(dimension(source.random(), source.shape(s.inputs[0])));
        return true;
      },
      [](const Statement& s, Vars x) { return Vars{transpose(x[0], small(s, 0), small(s, 1))}; }};
  table["slice"] = {choose_slice, [](const Statement& s, Vars x) {
                      return Vars{slice(x[0], small(s, 0), integer(s, 1), integer(s, 2), integer(s, 3))};
                    }};
  table["split"] = {choose_split, [](const Statement& s, Vars x) {
                      const std::vector<std::int64_t> sizes(s.numbers.begin() + 1, s.numbers.end());
                      return split(x[0], sizes, small(s, 0));
                    }};
}

// Operations with weights.

bool choose_matmul(Source& source, Statement& s) {
  if (!take(source, s, of_rank(2, 4))) return false;
  Random& random = source.random();
  const Shape a = source.shape(s.inputs[0]);
  s.numbers = {random.chance(0.5) ? 1.0 : 0.0, random.chance(0.5) ? 1.0 : 0.0};
  const std::int64_t inner = flag(s, 0) ? a[-2] : a[-1];
  const std::int64_t columns = random.integer(1, 4);
  const Shape b = flag(s, 1) ? Shape{columns, inner} : Shape{inner, columns};
  s.inputs.push_back(source.input(b));
  return true;
}

bool choose_linear(Source& source, Statement& s) {
  if (!take(source, s, of_rank(1, 4))) return false;
  const std::int64_t in = source.shape(s.inputs[0])[-1];
  const std::int64_t out = source.random().integer(1, 4);
  s.inputs.push_back(source.input({out, in}));
  if (source.random().chance(0.5)) s.inputs.push_back(source.input({out}));
  return true;
}

/// Numbers: stride, padding, dilation, groups, the algorithm, and the sign of conv2d_onto.
bool choose_conv2d(Source& source, Statement& s) {
  Random& random = source.random();
  if (!take(source, s, of_rank(4, 4))) return false;
  const Shape x = source.shape(s.inputs[0]);
  const std::int64_t groups = x[1] % 2 == 0 && random.chance(0.3) ? 2 : 1;
  const std::int64_t kernel = random.integer(1, std::min<std::int64_t>({3, x[2], x[3]}));
  const std::int64_t dilation = kernel <= 2 && kernel * 2 <= std::min(x[2], x[3]) ? random.integer(1, 2) : 1;
  s.numbers = {static_cast<double>(random.integer(1, 2)),
               static_cast<double>(random.integer(0, 1)),
               static_cast<double>(dilation),
               static_cast<double>(groups),
               static_cast<double>(random.integer(0, 1)),
               sign(random)};
  const std::int64_t out = groups * random.integer(1, 2);
  s.inputs.push_back(source.input({out, x[1] / groups, kernel, kernel}));
  if (random.chance(0.5)) s.inputs.push_back(source.input({out}));
  return true;
}

Conv2dOptions conv2d_options(const Statement& s) {
  return {.stride = integer(s, 0),
          .padding = integer(s, 1),
          .dilation = integer(s, 2),
          .groups = integer(s, 3),
          .algorithm = static_cast<Conv2dAlgorithm>(small(s, 4))};
}

/// A 1 x 1 convolution that is added to a residual of its result's shape, by whoever does so.
Vars apply_conv2d_onto(const Statement& s, Vars x) {
  Var residual = std::move(x[1]);
  const Sign sign = s.numbers[0] > 0 ? Sign::plus : Sign::minus;
  x.erase(x.begin() + 1);
  const Var y = conv2d_onto(residual, sign, x[0], x[1], x.size() > 2 ? x[2] : Var(), {});
  if (!residual.defined()) return {y};
  return {sign == Sign::plus ? residual + y : residual - y};
}

bool choose_conv2d_onto(Source& source, Statement& s) {
  if (!take(source, s, of_rank(4, 4))) return false;
  const Shape x = source.shape(s.inputs[0]);
  if (!take(source, s, [&](const Shape& shape) {
        return shape.rank() == 4 && shape[0] == x[0] && shape[2] == x[2] && shape[3] == x[3];
      }))
    return false;
  s.numbers = {sign(source.random())};
  const std::int64_t out = source.shape(s.inputs[1])[1];
  s.inputs.push_back(source.input({out, x[1], 1, 1}));
  if (source.random().chance(0.5)) s.inputs.push_back(source.input({out}));
  return true;
}

void add_products(Table& table) {
  table["matmul"] = {
      choose_matmul, [](const Statement& s, Vars x) {
        return Vars{matmul(x[0], x[1], {.transpose_a = flag(s, 0), .transpose_b = flag(s, 1)})};
      }};
  table["linear"] = {choose_linear, [](const Statement&, Vars x) {
                       return Vars{linear(x[0], x[1], x.size() > 2 ? x[2] : Var())};
                     }};
  table["conv2d"] = {choose_conv2d, [](const Statement& s, Vars x) {
                       return Vars{conv2d(x[0], x[1], x.size() > 2 ? x[2] : Var(), conv2d_options(s))};
                     }};
  table["conv2d_onto"] = {choose_conv2d_onto, apply_conv2d_onto};
}

/// Numbers: kernel, stride, padding.
bool choose_pool(Source& source, Statement& s) {
  if (!take(source, s, of_rank(4, 4))) return false;
  const Shape x = source.shape(s.inputs[0]);
  const std::int64_t kernel = source.random().integer(1, std::min<std::int64_t>({3, x[2], x[3]}));
  s.numbers = {static_cast<double>(kernel), static_cast<double>(source.random().integer(1, 3)),
               static_cast<double>(source.random().integer(0, kernel / 2))};
  return true;
}

Pool2dOptions pool_options(const Statement& s) {
  return {.kernel = integer(s, 0), .stride = integer(s, 1), .padding = integer(s, 2)};
}

void add_pools(Table& table) {
  table["max_pool2d"] = {choose_pool,
                         [](const Statement& s, Vars x) { return Vars{max_pool2d(x[0], pool_options(s))}; }};
  table["avg_pool2d"] = {choose_pool,
                         [](const Statement& s, Vars x) { return Vars{avg_pool2d(x[0], pool_options(s))}; }};
  table["adaptive_avg_pool2d"] = {
      [](Source& source, Statement& s) {
        s.numbers = {static_cast<double>(source.random().integer(1, 3)),
                     static_cast<double>(source.random().integer(1, 3))};
        return take(source, s, of_rank(4, 4));
      },
      [](const Statement& s, Vars x) {
        return Vars{adaptive_avg_pool2d(x[0], Size2d(integer(s, 0), integer(s, 1)))};
      }};
}

/// A scale and a shift of that shape, or neither.
void maybe_affine(Source& source, Statement& s, const Shape& shape) {
  if (source.random().chance(0.4)) return;
  s.inputs.push_back(source.input(shape));
  s.inputs.push_back(source.input(shape));
}

Var optional_input(const Vars& x, std::size_t i) { return i < x.size() ? x[i] : Var(); }

bool choose_batch_norm(Source& source, Statement& s) {
  // one value a channel has no variance
  if (!take(source, s,
            [](const Shape& x) { return (x.rank() == 2 || x.rank() == 4) && x.numel() / x[1] > 1; }))
    return false;
  const std::int64_t channels = source.shape(s.inputs[0])[1];
  s.inputs.push_back(source.input({channels}));
  s.inputs.push_back(source.input({channels}));
  s.numbers = {source.random().chance(0.5) ? 1.0 : 0.0};
  return true;
}

Vars apply_batch_norm(const Statement& s, const Vars& x, bool with_relu) {
  Tensor mean = Tensor::full(x[1].shape(), 0.125, DType::f64);
  Tensor variance = Tensor::full(x[1].shape(), 0.75, DType::f64);
  const BatchNormOptions options{.training = flag(s, 0), .eps = 0.1};
  return {with_relu ? batch_norm_relu(x[0], x[1], x[2], mean, variance, options)
                    : batch_norm(x[0], x[1], x[2], mean, variance, options)};
}

void add_norms(Table& table) {
  table["layer_norm"] = {
      [](Source& source, Statement& s) {
        if (!take_with_dimension(source, s)) return false;
        const Shape x = source.shape(s.inputs[0]);
        const int dim = x.dimension(small(s, 0));
        s.numbers.assign(x.begin() + dim, x.end());
        maybe_affine(source, s, shape_of(s.numbers));
        return true;
      },
      [](const Statement& s, Vars x) {
        return Vars{layer_norm(x[0], shape_of(s.numbers), optional_input(x, 1), optional_input(x, 2), 0.05)};
      }};
  table["group_norm"] = {
      [](Source& source, Statement& s) {
        if (!take(source, s, of_rank(2, 5))) return false;
        const std::int64_t channels = source.shape(s.inputs[0])[1];
        s.numbers = {channels % 2 == 0 && source.random().chance(0.5) ? 2.0 : 1.0};
        maybe_affine(source, s, {channels});
        return true;
      },
      [](const Statement& s, Vars x) {
        return Vars{group_norm(x[0], integer(s, 0), optional_input(x, 1), optional_input(x, 2), 0.05)};
      }};
  table["batch_norm"] = {choose_batch_norm,
                         [](const Statement& s, Vars x) { return apply_batch_norm(s, x, false); }};
  table["batch_norm_relu"] = {choose_batch_norm,
                              [](const Statement& s, Vars x) { return apply_batch_norm(s, x, true); }};
}

// Losses and tables. The last number is the seed of labels or targets.

Tensor positive(double seed, const Shape& shape) {
  Random random(static_cast<std::uint64_t>(seed));
  Tensor result(shape, DType::f64);
  for (double& value : result.mutable_values<double>()) value = random.uniform(0.1, 1);
  return result;
}

double label_seed(Random& random) { return static_cast<double>(random.integer(1, 1 << 20)); }

/// Numbers: reduction, smoothing, whether classes have weights, an ignored label, seed.
Vars apply_cross_entropy(const Statement& s, Vars x) {
  const Shape& shape = x[0].shape();
  CrossEntropyOptions options{.reduction = static_cast<Reduction>(small(s, 0)),
                              .label_smoothing = s.numbers[1]};
  if (flag(s, 2)) options.weight = positive(s.numbers[4] + 1, {shape[1]});
  if (s.numbers[3] >= 0) options.ignore_index = integer(s, 3);
  Tensor targets = labels(s.numbers[4], {shape[0]}, shape[1]);
  // one that counts, so that the mean is a number
  targets.mutable_values<std::int64_t>().front() = options.ignore_index == 0 ? shape[1] - 1 : 0;
  return {cross_entropy(x[0], targets, options)};
}

void add_losses(Table& table) {
  table["cross_entropy"] = {
      [](Source& source, Statement& s) {
        Random& random = source.random();
        s.numbers = {static_cast<double>(random.integer(0, 2)),
                     random.chance(0.5) ? 0.0 : random.uniform(0, 0.5), random.chance(0.5) ? 1.0 : 0.0,
                     random.chance(0.7) ? -1.0 : 0.0, label_seed(random)};
        return take(source, s, [](const Shape& x) { return x.rank() == 2 && x[1] > 1; });
      },
      apply_cross_entropy};
  table["binary_cross_entropy_with_logits"] = {
      [](Source& source, Statement& s) {
        s.numbers = {static_cast<double>(source.random().integer(0, 2)),
                     source.random().chance(0.5) ? 1.0 : 0.0, label_seed(source.random())};
        return take(source, s, of_rank(0, 8));
      },
      [](const Statement& s, Vars x) {
        BinaryCrossEntropyOptions options{.reduction = static_cast<Reduction>(small(s, 0))};
        if (flag(s, 1)) {
          options.weight = positive(s.numbers[2] + 1, x[0].shape());
          options.pos_weight = positive(s.numbers[2] + 2, x[0].shape());
        }
        return Vars{binary_cross_entropy_with_logits(x[0], positive(s.numbers[2], x[0].shape()), options)};
      }};
  table["embedding"] = {
      [](Source& source, Statement& s) {
        s.numbers = {static_cast<double>(source.random().integer(-1, 2)), label_seed(source.random())};
        return take(source, s, [](const Shape& x) { return x.rank() == 2 && x[0] > 2; });
      },
      [](const Statement& s, Vars x) {
        EmbeddingOptions options;
        if (s.numbers[0] >= 0) options.padding_idx = integer(s, 0);
        return Vars{embedding(labels(s.numbers[1], {2, 3}, x[0].shape()[0]), x[0], options)};
      }};
}

}  // namespace

Tensor labels(double seed, const Shape& shape, std::int64_t classes) {
  Random random(static_cast<std::uint64_t>(seed));
  Tensor result(shape, DType::i64);
  for (std::int64_t& label : result.mutable_values<std::int64_t>()) label = random.integer(0, classes - 1);
  return result;
}

const std::map<std::string, OpRow>& op_rows() {
  static const Table table = [] {
    Table rows;
    add_elementwise(rows);
    add_two_operands(rows);
    add_reductions(rows);
    add_shapes(rows);
    add_products(rows);
    add_pools(rows);
    add_norms(rows);
    add_losses(rows);
    return rows;
  }();
  return table;
}

}  // namespace retrace::fuzz
