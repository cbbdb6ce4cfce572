#include <retrace/autograd/ops/copy.h>
#include <retrace/core/fail.h>
#include <retrace/core/kernels.h>
#include <retrace/revnet/combinators.h>

#include <string>
#include <utility>

namespace retrace {

namespace {

constexpr std::string_view kOnChannels = "OnChannels";
constexpr std::string_view kParallel = "Parallel";

/// A list of one tensor, which it alone holds: an initialiser list would keep a second hold on it.
Tensors only(Tensor x) {
  Tensors list;
  list.push_back(std::move(x));
  return list;
}

/// The tensor, in bytes that nobody else holds.
Tensor own(Tensor x) { return x.unique() ? x : x.clone(x.storage().tag()); }

}  // namespace

OnChannels::OnChannels(std::shared_ptr<InvertibleModule> fn, std::int64_t begin, std::int64_t end, int dim)
    : fn_(std::move(fn)), begin_(begin), end_(end), dim_(dim) {
  if (fn_ == nullptr) fail<ArgumentError>(kOnChannels, "fn must be a module, got an empty pointer");
  if (begin < 0 || begin >= end)
    fail<ArgumentError>(kOnChannels, "the channels must be a range [begin, end) from 0, got [{}, {})", begin,
                        end);
}

int OnChannels::checked_dim(const Shape& shape) const {
  if (dim_ < -shape.rank() || dim_ >= shape.rank() || shape[dim_] < end_)
    fail<ShapeError>(kOnChannels, "dimension {} of x must exist and have at least {} channels, got {}", dim_,
                     end_, shape);
  return shape.dimension(dim_);
}

void OnChannels::check_same(const Shape& part, const Shape& result) const {
  if (!(part == result))
    fail<ShapeError>(kOnChannels, "fn must keep the shape {} of its channels, got {}", part, result);
}

Tensor OnChannels::part_of(const Tensor& x) const {
  const int dim = checked_dim(x.shape());
  Tensor part = like(x, x.shape().with(dim, end_ - begin_), x.storage().tag());
  kernel::slice_copy(x, dim, begin_, 1, part);
  return part;
}

/// x with other channels in the place of its part.
Tensor OnChannels::with_part(Tensor x, const Tensor& part) const {
  const int dim = checked_dim(x.shape());
  check_same(x.shape().with(dim, end_ - begin_), part.shape());
  Tensor result = own(std::move(x));
  kernel::slice_write(part, dim, begin_, 1, result);
  return result;
}

template <class Step>
Var OnChannels::run(const Var& x, const Step& step) {
  const int dim = checked_dim(x.shape());
  const std::int64_t channels = x.shape()[dim];
  Vars pieces;
  if (begin_ > 0) pieces.push_back(slice(x, dim, 0, begin_));
  const Var part = slice(x, dim, begin_, end_);
  const ModuleScope scope(*this);
  const ModuleScope inner(*fn_);
  pieces.push_back(step(part));
  check_same(part.shape(), pieces.back().shape());
  if (end_ < channels) pieces.push_back(slice(x, dim, end_, channels));
  return concatenate(pieces, dim);
}

Var OnChannels::forward(const Var& x) {
  if (Tape::current() == nullptr) return advance({x.value()}).front();
  return run(x, [this](const Var& part) { return fn_->forward(part); });
}

Var OnChannels::inverse(const Var& y) {
  if (Tape::current() == nullptr) return retreat({y.value()}).front();
  return run(y, [this](const Var& part) { return fn_->inverse(part); });
}

template <class Step>
Tensors OnChannels::run_in_place(Tensors x, const Step& step) {
  const ModuleScope scope(*this);
  const ModuleScope inner(*fn_);
  Tensor part = step(only(part_of(x.front()))).front();
  return {with_part(std::exchange(x.front(), Tensor()), part)};
}

Tensors OnChannels::advance(Tensors x) {
  return run_in_place(std::move(x), [this](Tensors part) { return fn_->advance(std::move(part)); });
}

Tensors OnChannels::retreat(Tensors y) {
  return run_in_place(std::move(y), [this](Tensors part) { return fn_->retreat(std::move(part)); });
}

template <class Step>
Rewound OnChannels::run_back(Tensors y, Tensors dy, const Step& step) {
  Tensor x = std::exchange(y.front(), Tensor());
  Tensor dx = std::exchange(dy.front(), Tensor());
  if (!dx.defined()) dx = Tensor::zeros(x.shape(), x.dtype(), Tag::gradient, x.device());
  const ModuleScope scope(*this);
  const ModuleScope inner(*fn_);
  Rewound part = step(only(part_of(x)), only(part_of(dx)));
  x = with_part(std::move(x), std::exchange(part.x.front(), Tensor()));
  if (!part.dx.front().defined())
    part.dx.front() = Tensor::zeros(part_of(x).shape(), x.dtype(), Tag::gradient, x.device());
  return {{std::move(x)}, {with_part(std::move(dx), part.dx.front())}};
}

Rewound OnChannels::rewind(Tensors y, Tensors dy) {
  return run_back(std::move(y), std::move(dy), [this](Tensors part, Tensors d_part) {
    return fn_->rewind(std::move(part), std::move(d_part));
  });
}

Rewound OnChannels::rewind_inverse(Tensors x, Tensors dx) {
  return run_back(std::move(x), std::move(dx), [this](Tensors part, Tensors d_part) {
    return fn_->rewind_inverse(std::move(part), std::move(d_part));
  });
}

Parallel::Parallel(std::vector<std::shared_ptr<InvertibleModule>> modules) : modules_(std::move(modules)) {
  if (modules_.empty()) fail<ArgumentError>(kParallel, "there must be at least one module, got none");
  for (const auto& module : modules_)
    if (module == nullptr) fail<ArgumentError>(kParallel, "every module must be given, got an empty pointer");
}

void Parallel::members(Members& m) {
  for (std::size_t i = 0; i < modules_.size(); ++i) m.module(std::to_string(i), modules_[i]);
}

/// Calls `step(module, i)` for each module in the scope of its name.
template <class Step>
void Parallel::for_each(std::size_t tensors, const Step& step) {
  const ModuleScope scope(*this);
  if (tensors != modules_.size())
    fail<ArgumentError>(kParallel, "there must be one tensor for each of {} modules, got {}", modules_.size(),
                        tensors);
  for (std::size_t i = 0; i < modules_.size(); ++i) {
    const ModuleScope inner(*modules_[i], std::to_string(i));
    step(*modules_[i], i);
  }
}

Vars Parallel::forward_all(const Vars& x) {
  Vars y;
  for_each(x.size(), [&](InvertibleModule& fn, std::size_t i) { y.push_back(fn.forward(x[i])); });
  return y;
}

Vars Parallel::inverse_all(const Vars& y) {
  Vars x;
  for_each(y.size(), [&](InvertibleModule& fn, std::size_t i) { x.push_back(fn.inverse(y[i])); });
  return x;
}

Tensors Parallel::advance(Tensors x) {
  for_each(x.size(), [&](InvertibleModule& fn, std::size_t i) {
    x[i] = fn.advance(only(std::exchange(x[i], Tensor()))).front();
  });
  return x;
}

Tensors Parallel::retreat(Tensors y) {
  for_each(y.size(), [&](InvertibleModule& fn, std::size_t i) {
    y[i] = fn.retreat(only(std::exchange(y[i], Tensor()))).front();
  });
  return y;
}

template <class Step>
Rewound Parallel::run_back(Tensors y, Tensors dy, const Step& step) {
  for_each(y.size(), [&](InvertibleModule& fn, std::size_t i) {
    Rewound back = step(fn, only(std::exchange(y[i], Tensor())), only(std::exchange(dy[i], Tensor())));
    y[i] = std::move(back.x.front());
    dy[i] = std::move(back.dx.front());
  });
  return {std::move(y), std::move(dy)};
}

Rewound Parallel::rewind(Tensors y, Tensors dy) {
  return run_back(std::move(y), std::move(dy), [](InvertibleModule& fn, Tensors t, Tensors dt) {
    return fn.rewind(std::move(t), std::move(dt));
  });
}

Rewound Parallel::rewind_inverse(Tensors x, Tensors dx) {
  return run_back(std::move(x), std::move(dx), [](InvertibleModule& fn, Tensors t, Tensors dt) {
    return fn.rewind_inverse(std::move(t), std::move(dt));
  });
}

}  // namespace retrace
