#include <retrace/autograd/autocast.h>
#include <retrace/autograd/ops.h>
#include <retrace/core/fail.h>
#include <retrace/core/kernels.h>
#include <retrace/revnet/coupling.h>
#include <retrace/revnet/replay.h>

#include <utility>

namespace retrace {

Coupling::Coupling(std::shared_ptr<Module> F, std::shared_ptr<Module> G, const CouplingOptions& options)
    : F_(std::move(F)), G_(std::move(G)), options_(options) {
  if (F_ == nullptr) fail<ArgumentError>("coupling", "F must be a module, got none");
  if (G_ == nullptr) G_ = F_->clone();
}

void Coupling::members(Members& m) {
  m.module("F", F_);
  m.module("G", G_);
}

std::int64_t Coupling::half_of(const Shape& shape) const {
  const int dim = options_.split_dim;
  if (dim < -shape.rank() || dim >= shape.rank() || shape[dim] % 2 != 0)
    fail<ShapeError>("coupling",
                     "dimension {} of x must exist and be even to be cut into two streams, got {}", dim,
                     shape);
  return shape[dim] / 2;
}

void Coupling::check_pair(std::size_t count) const {
  if (count != 2)
    fail<ArgumentError>("coupling", "a coupling takes one tensor or its two streams, got {} tensors", count);
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

Vars Coupling::run(const Vars& inputs, Direction direction) {
  const Vars streams = autocast::in_f32(inputs);
  if (direction == Direction::forward) {
    const Var y1 = half_step(*F_, streams[0], streams[1], direction);
    return {y1, half_step(*G_, streams[1], y1, direction)};
  }
  const Var x2 = half_step(*G_, streams[1], streams[0], direction);
  return {half_step(*F_, streams[0], x2, direction), x2};
}

Tensors Coupling::run_in_place(Tensors streams, Direction direction) {
  const NoTape no_tape;
  streams = values_of(autocast::in_f32(constants(std::exchange(streams, {}))));
  name_children();
  if (direction == Direction::forward) {
    streams[0] = half_step(*F_, std::move(streams[0]), streams[1], direction);
    streams[1] = half_step(*G_, std::move(streams[1]), streams[0], direction);
  } else {
    streams[1] = half_step(*G_, std::move(streams[1]), streams[0], direction);
    streams[0] = half_step(*F_, std::move(streams[0]), streams[1], direction);
  }
  return streams;
}

Var Coupling::run_joined(const Var& x, Direction direction) {
  if (Tape::current() == nullptr) return join(run_in_place(split(x.value()), direction));
  name_children();
  const std::int64_t half = half_of(x.shape());
  return concatenate(run(retrace::split(x, {half, half}, options_.split_dim), direction), options_.split_dim);
}

Var Coupling::forward(const Var& x) { return run_joined(x, Direction::forward); }

Var Coupling::inverse(const Var& y) { return run_joined(y, Direction::inverse); }

Vars Coupling::forward_all(const Vars& x) {
  if (x.size() == 1) return {forward(x.front())};
  check_pair(x.size());
  name_children();
  return run(x, Direction::forward);
}

Vars Coupling::inverse_all(const Vars& y) {
  if (y.size() == 1) return {inverse(y.front())};
  check_pair(y.size());
  name_children();
  return run(y, Direction::inverse);
}

Tensors Coupling::advance(Tensors x) {
  if (x.size() == 1)
    return {join(run_in_place(split(std::exchange(x.front(), Tensor())), Direction::forward))};
  check_pair(x.size());
  return run_in_place(std::move(x), Direction::forward);
}

Tensors Coupling::retreat(Tensors y) {
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
      stream->gradient = Tensor::zeros(stream->value.shape(), stream->value.dtype(), Tag::gradient);
  if (direction == Direction::forward) {
    rewind_half_step(*G_, second, first, direction);
    rewind_half_step(*F_, first, second, direction);
  } else {
    rewind_half_step(*F_, first, second, direction);
    rewind_half_step(*G_, second, first, direction);
  }
  Rewound result{{std::move(first.value), std::move(second.value)},
                 {std::move(first.gradient), std::move(second.gradient)}};
  if (!joined) return result;
  result.x = {join(std::exchange(result.x, {}))};
  result.dx = {join(std::exchange(result.dx, {}))};
  return result;
}

}  // namespace retrace
