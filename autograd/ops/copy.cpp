#include <retrace/autograd/autocast.h>
#include <retrace/autograd/ops/cast.h>
#include <retrace/autograd/ops/check.h>
#include <retrace/autograd/ops/copy.h>
#include <retrace/autograd/record.h>
#include <retrace/core/kernels.h>

#include <algorithm>

namespace retrace {

namespace {

/// `record` for a result that shares x's bytes, which stay named after the operation that made them.
template <class Derivative>
Var record_view(std::string_view op, const Var& x, const Tensor& y, Derivative derivative) {
  if (!needs_gradient(x)) return Var(y);
  auto hook = std::make_unique<detail::RecordedOp<Derivative>>(op, Tensors{}, derivative);
  return Tape::current()->attach({x}, {y}, std::move(hook)).front();
}

/// dx = 0 but for dx[.., begin::step, ..] = dy
Tensor slice_backward(const Tensor& dy, const Shape& x, const SliceRule& rule) {
  Tensor dx = like(dy, x, Tag::gradient);
  if (rule.shape.numel() < x.numel()) kernel::fill(dx, 0);
  kernel::slice_write(dy, rule.dim, rule.begin, rule.step, dx);
  return dx;
}

/// One node for all parts, so that the gradient of x is written once.
class Split final : public TapeHook {
 public:
  Split(const Var& x, int dim, std::vector<std::int64_t> sizes)
      : shape_(x.shape()), dim_(dim), sizes_(std::move(sizes)) {}

  std::string_view name() const override { return "split"; }

  /// dx = the parts' gradients, one after the other
  Tensors backward(Tensors dy, const BackwardPass&) override {
    Tensor dx;
    std::int64_t begin = 0;
    for (std::size_t i = 0; i < dy.size(); begin += sizes_[i++]) {
      if (!dy[i].defined()) continue;
      if (!dx.defined()) dx = start(dy);
      kernel::slice_write(dy[i], dim_, begin, 1, dx);
    }
    return {dx};
  }

 private:
  /// Zeros, unless every element will be written.
  Tensor start(const Tensors& dy) const {
    const auto present = [](const Tensor& d) { return d.defined(); };
    Tensor dx = like(*std::find_if(dy.begin(), dy.end(), present), shape_, Tag::gradient);
    if (!std::all_of(dy.begin(), dy.end(), present)) kernel::fill(dx, 0);
    return dx;
  }

  Shape shape_;
  int dim_;
  std::vector<std::int64_t> sizes_;
};

class Concatenation final : public TapeHook {
 public:
  Concatenation(std::vector<Shape> shapes, int dim) : shapes_(std::move(shapes)), dim_(dim) {}

  std::string_view name() const override { return "concatenate"; }

  /// dx_i = the part of dy where x_i is
  Tensors backward(Tensors dy, const BackwardPass& pass) override {
    Tensors dx(shapes_.size());
    std::int64_t begin = 0;
    for (std::size_t i = 0; i < shapes_.size(); begin += shapes_[i++][dim_]) {
      if (!pass.wants[i]) continue;
      dx[i] = like(dy.front(), shapes_[i], Tag::gradient);
      kernel::slice_copy(dy.front(), dim_, begin, 1, dx[i]);
    }
    return dx;
  }

 private:
  std::vector<Shape> shapes_;
  int dim_;
};

Vars in_widest(const Vars& xs) {
  DType widest = xs.front().dtype();
  for (const Var& x : xs) widest = wider(widest, x.dtype());
  Vars result;
  for (const Var& x : xs) result.push_back(cast(x, widest));
  return result;
}

/// `dim` as a dimension of x that can be split.
int split_dimension(const Var& x, int dim) {
  detail::check_defined("split", "x", x.value());
  if (x.shape().rank() == 0) fail<ShapeError>("split", "x must have at least 1 dimension, got {}", x.shape());
  return dimension_of("split", x.shape(), dim);
}

/// A part of x: shared where it is contiguous, else copied.
Tensor part_of(const Tensor& x, const SliceRule& rule) {
  if (rule.dim == 0 && rule.step == 1) return x.slice(rule.begin, rule.begin + rule.shape[0]);
  Tensor y = like(x, rule.shape);
  kernel::slice_copy(x, rule.dim, rule.begin, rule.step, y);
  return y;
}

}  // namespace

/// dx = dy, reshaped
Var reshape(const Var& x, const Shape& shape) {
  detail::check_defined("reshape", "x", x.value());
  return record_view(
      "reshape", x, x.value().reshape(shape),
      [xs = x.shape()](const Tensor& dy, Saved, const Wants&) -> Tensors { return {dy.reshape(xs)}; });
}

Var reshape(const Var& x, std::initializer_list<std::int64_t> extents) {
  return reshape(x, reshaped_shape("reshape", x.shape(), extents));
}

Var flatten(const Var& x, int start_dim, int end_dim) {
  detail::check_defined("flatten", "x", x.value());
  return reshape(x, flattened_shape(x.shape(), start_dim, end_dim));
}

/// dx = dy, permuted back
Var permute(const Var& x, const std::vector<int>& dims) {
  detail::check_defined("permute", "x", x.value());
  const Permutation order = permutation_of("permute", x.shape(), dims);
  Tensor y = like(x.value(), order.applied_to(x.shape()));
  kernel::permute(x.value(), order, y);
  return record("permute", {x}, y, /*save=*/{}, [order](const Tensor& dy, Saved, const Wants&) -> Tensors {
    Tensor dx = like(dy, order.inverse().applied_to(dy.shape()), Tag::gradient);
    kernel::permute(dy, order.inverse(), dx);
    return {dx};
  });
}

Var transpose(const Var& x, int dim0, int dim1) {
  detail::check_defined("transpose", "x", x.value());
  const int first = dimension_of("transpose", x.shape(), dim0);
  const int second = dimension_of("transpose", x.shape(), dim1);
  if (first == second) return x;
  std::vector<int> dims;
  for (int d = 0; d < x.shape().rank(); ++d) dims.push_back(d == first ? second : d == second ? first : d);
  return permute(x, dims);
}

Var slice(const Var& x, int dim, std::int64_t begin, std::int64_t end, std::int64_t step) {
  detail::check_defined("slice", "x", x.value());
  const SliceRule rule = slice_rule("slice", x.shape(), dim, begin, end, step);
  const Tensor y = part_of(x.value(), rule);
  const auto derivative = [xs = x.shape(), rule](const Tensor& dy, Saved, const Wants&) -> Tensors {
    return {slice_backward(dy, xs, rule)};
  };
  if (y.shares_storage(x.value())) return record_view("slice", x, y, derivative);
  return record("slice", {x}, y, /*save=*/{}, derivative);
}

Vars split(const Var& x, int parts, int dim) {
  const std::int64_t extent = x.shape()[split_dimension(x, dim)];
  if (parts < 1 || extent % parts != 0)
    fail<ShapeError>("split", "dimension {} of x {} must divide into {} equal parts", dim, x.shape(), parts);
  return split(x, std::vector<std::int64_t>(static_cast<std::size_t>(parts), extent / parts), dim);
}

Vars split(const Var& x, const std::vector<std::int64_t>& sizes, int dim) {
  const int d = split_dimension(x, dim);
  check_split(x.shape(), sizes, d);
  Tensors parts;
  std::int64_t begin = 0;
  for (const std::int64_t size : sizes) {
    parts.push_back(part_of(x.value(), slice_rule("split", x.shape(), d, begin, begin + size, 1)));
    if (!parts.back().shares_storage(x.value())) parts.back().storage().set_op("split");
    begin += size;
  }
  if (!needs_gradient(x)) return Vars(parts.begin(), parts.end());
  return Tape::current()->attach({x}, std::move(parts), std::make_unique<Split>(x, d, sizes));
}

Var concatenate(const Vars& xs, int dim) {
  for (const Var& x : xs)
    if (autocast::to_wider(xs.front(), x)) return concatenate(in_widest(xs), dim);
  std::vector<Shape> shapes;
  for (const Var& x : xs) {
    detail::check_defined("concatenate", "each x", x.value());
    shapes.push_back(x.shape());
    if (x.dtype() != xs.front().dtype())
      fail<DTypeError>("concatenate", "the xs must have one element type, got {} and {}", xs.front().dtype(),
                       x.dtype());
  }
  const Shape shape = concatenated_shape(shapes, dim);
  const int d = shape.dimension(dim);
  Tensor y = like(xs.front().value(), shape);
  std::int64_t begin = 0;
  for (const Var& x : xs) {
    kernel::slice_write(x.value(), d, begin, 1, y);
    begin += x.shape()[d];
  }
  y.storage().set_op("concatenate");
  if (std::none_of(xs.begin(), xs.end(), needs_gradient)) return Var(y);
  return Tape::current()->attach(xs, {y}, std::make_unique<Concatenation>(shapes, d)).front();
}

}  // namespace retrace
