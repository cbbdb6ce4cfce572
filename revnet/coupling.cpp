#include <retrace/autograd/autocast.h>
#include <retrace/autograd/ops.h>
#include <retrace/core/fail.h>
#include <retrace/core/kernels.h>
#include <retrace/revnet/checkpoint.h>
#include <retrace/revnet/coupling.h>
#include <retrace/revnet/replay.h>
#include <retrace/revnet/reversal.h>

#include <limits>
#include <utility>

namespace retrace {

namespace {

void check_implementation(std::string_view class_name, std::string_view option, int implementation) {
  if (implementation < -1 || implementation > 1)
    fail<NotImplementedError>(class_name, "{} must be -1, 0 or 1, got {}", option, implementation);
}

}  // namespace

Coupling::Coupling(std::string_view class_name, std::shared_ptr<Module> F, std::shared_ptr<Module> G,
                   const CouplingOptions& options)
    : class_name_(class_name), F_(std::move(F)), G_(std::move(G)), options_(options) {
  if (F_ == nullptr) fail<ArgumentError>(class_name_, "F must be a module, got none");
  check_implementation(class_name_, "implementation_fwd", options_.implementation_fwd);
  check_implementation(class_name_, "implementation_bwd", options_.implementation_bwd);
  if (G_ == nullptr) G_ = F_->clone();
}

void Coupling::members(Members& m) {
  m.module("F", F_);
  m.module("G", G_);
}

std::int64_t Coupling::half_of(const Shape& shape) const {
  const int dim = options_.split_dim;
  if (dim < -shape.rank() || dim >= shape.rank() || shape[dim] % 2 != 0)
    fail<ShapeError>(class_name_,
                     "dimension {} of x must exist and be even to be cut into two streams, got {}", dim,
                     shape);
  return shape[dim] / 2;
}

void Coupling::check_pair(std::size_t count) const {
  if (count != 2)
    fail<ArgumentError>(class_name_, "a coupling takes one tensor or its two streams, got {} tensors", count);
}

Tensors Coupling::split(const Tensor& x) const {
  const std::int64_t half = half_of(x.shape());
  const int dim = x.shape().dimension(options_.split_dim);
  Tensors streams;
  for (const std::int64_t begin : {std::int64_t{0}, half}) {
    Tensor& stream = streams.emplace_back(like(
        x, x.shape().with(dim, half), x.storage().tag() == Tag::gradient ? Tag::gradient : Tag::activation));
    kernel::slice_copy(x, dim, begin, 1, stream);
  }
  return streams;
}

Tensor Coupling::join(const Tensors& streams) const {
  const Shape& half = streams.front().shape();
  const int dim = half.dimension(options_.split_dim);
  Tensor x = like(streams.front(), half.with(dim, 2 * half[dim]), streams.front().storage().tag());
  kernel::slice_write(streams[0], dim, 0, 1, x);
  kernel::slice_write(streams[1], dim, half[dim], 1, x);
  return x;
}

Vars Coupling::split(const Var& x) const {
  const std::int64_t half = half_of(x.shape());
  return retrace::split(x, {half, half}, options_.split_dim);
}

Var Coupling::join(const Vars& streams) const { return concatenate(streams, options_.split_dim); }

Vars Coupling::run(const Vars& inputs, Direction direction) {
  const Vars streams = autocast::in_f32(inputs);
  if (direction == Direction::forward) {
    const Var y1 = half_step(F(), streams[0], streams[1], direction);
    return {y1, half_step(G(), streams[1], y1, direction)};
  }
  const Var x2 = half_step(G(), streams[1], streams[0], direction);
  return {half_step(F(), streams[0], x2, direction), x2};
}

Tensors Coupling::run_in_place(Tensors streams, Direction direction) {
  const NoTape no_tape;
  streams = values_of(autocast::in_f32(constants(std::exchange(streams, {}))));
  if (direction == Direction::forward) {
    streams[0] = half_step(F(), std::move(streams[0]), streams[1], direction);
    streams[1] = half_step(G(), std::move(streams[1]), streams[0], direction);
  } else {
    streams[1] = half_step(G(), std::move(streams[1]), streams[0], direction);
    streams[0] = half_step(F(), std::move(streams[0]), streams[1], direction);
  }
  return streams;
}

Var Coupling::run_joined(const Var& x, Direction direction) {
  if (Tape::current() == nullptr) return join(run_in_place(split(x.value()), direction));
  return join(run(split(x), direction));
}

Vars Coupling::run_formula(const Vars& x, Direction direction) {
  if (x.size() == 1) return {run_joined(x.front(), direction)};
  check_pair(x.size());
  return run(x, direction);
}

/// This coupling as a hook keeps it: of the same F and G, with the formula recorded, whatever becomes of this
/// object.
std::shared_ptr<InvertibleModule> Coupling::of_formula(Direction direction) const {
  auto twin = std::static_pointer_cast<Coupling>(copy());
  twin->options_.implementation_fwd = twin->options_.implementation_bwd = -1;
  if (direction == Direction::forward) return twin;
  return std::make_shared<Inverse>(std::move(twin));
}

Vars Coupling::run_as_chosen(const Vars& x, Direction direction) {
  const ModuleScope scope(*this);
  const int implementation =
      direction == Direction::forward ? options_.implementation_fwd : options_.implementation_bwd;
  if (implementation == -1 || Tape::current() == nullptr) return run_formula(x, direction);
  if (implementation == 0) return checkpoint(of_formula(direction), x);
  return run_reversibly(
      of_formula(direction), x,
      {.name = class_name_, .inputs = Inputs::left, .num_bwd_passes = std::numeric_limits<int>::max()});
}

Var Coupling::forward(const Var& x) { return run_as_chosen({x}, Direction::forward).front(); }

Var Coupling::inverse(const Var& y) { return run_as_chosen({y}, Direction::inverse).front(); }

Vars Coupling::forward_all(const Vars& x) { return run_as_chosen(x, Direction::forward); }

Vars Coupling::inverse_all(const Vars& y) { return run_as_chosen(y, Direction::inverse); }

Tensors Coupling::advance(Tensors x) {
  const ModuleScope scope(*this);
  if (x.size() == 1)
    return {join(run_in_place(split(std::exchange(x.front(), Tensor())), Direction::forward))};
  check_pair(x.size());
  return run_in_place(std::move(x), Direction::forward);
}

Tensors Coupling::retreat(Tensors y) {
  const ModuleScope scope(*this);
  if (y.size() == 1)
    return {join(run_in_place(split(std::exchange(y.front(), Tensor())), Direction::inverse))};
  check_pair(y.size());
  return run_in_place(std::move(y), Direction::inverse);
}

Rewound Coupling::rewind(Tensors y, Tensors dy) {
  return rewind_streams(std::move(y), std::move(dy), Direction::forward);
}

Rewound Coupling::rewind_inverse(Tensors x, Tensors dx) {
  return rewind_streams(std::move(x), std::move(dx), Direction::inverse);
}

Rewound Coupling::rewind_streams(Tensors y, Tensors dy, Direction direction) {
  const ModuleScope scope(*this);
  const bool joined = y.size() == 1;
  if (joined) {
    y = split(std::exchange(y.front(), Tensor()));
    dy = dy.front().defined() ? split(std::exchange(dy.front(), Tensor())) : Tensors(2);
  }
  check_pair(y.size());
  Stream first{std::move(y[0]), std::move(dy[0])};
  Stream second{std::move(y[1]), std::move(dy[1])};
  for (Stream* stream : {&first, &second})
    if (!stream->gradient.defined())
      stream->gradient =
          Tensor::zeros(stream->value.shape(), stream->value.dtype(), Tag::gradient, stream->value.device());
  if (direction == Direction::forward) {
    rewind_half_step(G(), second, first, direction);
    rewind_half_step(F(), first, second, direction);
  } else {
    rewind_half_step(F(), first, second, direction);
    rewind_half_step(G(), second, first, direction);
  }
  Rewound result{{std::move(first.value), std::move(second.value)},
                 {std::move(first.gradient), std::move(second.gradient)}};
  if (!joined) return result;
  result.x = {join(std::exchange(result.x, {}))};
  result.dx = {join(std::exchange(result.dx, {}))};
  return result;
}

}  // namespace retrace
