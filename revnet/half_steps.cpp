#include <retrace/autograd/autocast.h>
#include <retrace/autograd/ops.h>
#include <retrace/core/fail.h>
#include <retrace/core/kernels.h>
#include <retrace/core/scope.h>
#include <retrace/revnet/coupling.h>

#include <cmath>
#include <string>
#include <utility>

// The half steps of the two couplings. `target` changes by a function of `source`; each comes in three forms:
// on the tape, without a tape in place, and backwards with gradients.

namespace retrace {

namespace {

/// x op y, in the bytes of x, else of y, where nobody else holds them.
template <class BinaryKernel>
Tensor combine(const BinaryKernel& op, Tensor x, Tensor y) {
  Tensor out = x.unique() ? x : y.unique() ? y : like(x, x.storage().tag());
  op(x, y, out);
  return out;
}

Tensor scaled(const Tensor& x, double scale) {
  Tensor y = like(x, Tag::gradient);
  kernel::scale_shift(x, scale, kernel::kNoShift, y);
  return y;
}

/// `result`, of F or G, as it meets the stream that it changes; under Autocast it is cast to the stream's
/// type.
Var fit(std::string_view op, const Var& result, const Tensor& stream, std::string_view what) {
  if (!(stream.shape() == result.shape()))
    fail<ShapeError>(op, "{} must have the stream's shape {}, got {}", what, stream.shape(), result.shape());
  if (stream.dtype() == result.dtype()) return result;
  if (!Autocast::dtype())
    fail<DTypeError>(op, "{} must have the stream's element type {}, got {}", what, stream.dtype(),
                     result.dtype());
  return cast(result, stream.dtype());
}

constexpr std::string_view kBranchResult = "the result of F and G";

struct ScaleShift {
  Var s;
  Var t;
};

/// `st`, of F or G, as it meets the stream that it changes.
ScaleShift scale_and_shift(std::string_view op, const Vars& st, const Tensor& target) {
  if (st.size() != 2)
    fail<ArgumentError>(op, "F and G must return a scale and a shift, got {} tensors", st.size());
  return {fit(op, st[0], target, "the scale"), fit(op, st[1], target, "the shift")};
}

/// Where the program is, for an error.
std::string place() {
  const std::string path = path_of(current_scope().node);
  return path.empty() ? path : " in " + path;
}

/// Throws unless every element of s is finite and not 0: y = s x + t has lost x elsewhere.
void check_scale(std::string_view op, const Tensor& s) {
  const auto [smallest, largest] = kernel::magnitudes(s);
  if (smallest > 0 && std::isfinite(largest)) return;
  fail<InvertibilityError>(op,
                           "to be undone, y = s x + t must have a scale s that is finite and not 0, got |s| "
                           "from {:.3g} to {:.3g}{}",
                           smallest, largest, place());
}

/// (y - t) / s, in the bytes of y where nobody else holds them.
Tensor undo(std::string_view op, Tensor y, const Tensor& s, const Tensor& t) {
  check_scale(op, s);
  return combine(kernel::div, combine(kernel::sub, std::move(y), t), s);
}

/// A(f); without an adapter or without f, f itself.
std::shared_ptr<Module> adapted(const AffineAdapter& adapter, std::shared_ptr<Module> f) {
  if (adapter && f != nullptr) return adapter(std::move(f));
  return f;
}

/// Adds to the source's gradient what comes from those results of F or G that are on the tape, where v is the
/// source. It is a root, so that operations may add to its gradient as they write.
void backward_from(Tape& tape, const Var& v, Tensor& gradient, const Vars& results, const Tensors& dys) {
  Vars roots{v};
  Tensors gradients{std::exchange(gradient, Tensor())};
  for (std::size_t r = 0; r < results.size(); ++r) {
    if (results[r].place().tape == 0) continue;
    roots.push_back(results[r]);
    gradients.push_back(dys[r]);
  }
  tape.backward(roots, std::move(gradients));
  gradient = tape.take_grad(v);
}

}  // namespace

Var AdditiveCoupling::half_step(const Branch& m, const Var& target, const Var& source, Direction direction) {
  const bool adds = direction == Direction::forward;
  Var sum = target;
  Var r = m.onto(sum, adds ? Sign::plus : Sign::minus, source);
  if (!sum.defined()) return r;
  r = fit(class_name(), r, target.value(), kBranchResult);
  return adds ? target + r : target - r;
}

Tensor AdditiveCoupling::half_step(const Branch& m, Tensor target, const Tensor& source,
                                   Direction direction) {
  const bool adds = direction == Direction::forward;
  Var sum(std::exchange(target, Tensor()));
  Var r = m.onto(sum, adds ? Sign::plus : Sign::minus, source);
  if (!sum.defined()) return r.value();
  target = std::exchange(sum, Var()).value();
  r = fit(class_name(), r, target, kBranchResult);
  return combine(adds ? kernel::add : kernel::sub, std::move(target), std::exchange(r, Var()).value());
}

void AdditiveCoupling::rewind_half_step(const Branch& m, Stream& target, Stream& source,
                                        Direction direction) {
  Tape tape;
  const Var v = tape.watch(source.value);
  const Var r = fit(class_name(), m(v), target.value, kBranchResult);
  target.value = combine(direction == Direction::forward ? kernel::sub : kernel::add, std::move(target.value),
                         r.value());
  backward_from(tape, v, source.gradient, {r},
                {direction == Direction::forward ? target.gradient : scaled(target.gradient, -1)});
}

AffineCoupling::AffineCoupling(std::shared_ptr<Module> Fm, std::shared_ptr<Module> Gm,
                               const AffineAdapter& adapter, const CouplingOptions& options)
    : Coupling("AffineCoupling", adapted(adapter, std::move(Fm)), adapted(adapter, std::move(Gm)), options) {}

Var AffineCoupling::half_step(const Branch& m, const Var& target, const Var& source, Direction direction) {
  const auto [s, t] = scale_and_shift(class_name(), m(Vars{source}), target.value());
  if (direction == Direction::inverse) check_scale(class_name(), s.value());
  return direction == Direction::forward ? s * target + t : (target - t) / s;
}

Tensor AffineCoupling::half_step(const Branch& m, Tensor target, const Tensor& source, Direction direction) {
  ScaleShift st = scale_and_shift(class_name(), m(Vars{source}), target);
  const Tensor s = st.s.value();
  const Tensor t = st.t.value();
  if (direction == Direction::forward)
    return combine(kernel::add, combine(kernel::mul, std::move(target), s), t);
  return undo(class_name(), std::move(target), s, t);
}

void AffineCoupling::rewind_half_step(const Branch& m, Stream& target, Stream& source, Direction direction) {
  Tape tape;
  const Var v = tape.watch(source.value);
  const auto [s, t] = scale_and_shift(class_name(), m(Vars{v}), target.value);
  Tensor ds = like(target.value, Tag::gradient);
  Tensor dt = target.gradient;
  if (direction == Direction::forward) {
    // y = s x + t:  x = (y - t) / s;  ds = dy x, dt = dy, dx = dy s.
    target.value = undo(class_name(), std::move(target.value), s.value(), t.value());
    kernel::mul(target.gradient, target.value, ds);
    target.gradient = combine(kernel::mul, std::move(target.gradient), s.value());
  } else {
    // x = (y - t) / s:  dy = dx / s;  ds = -dy x, dt = -dy;  y = s x + t.
    target.gradient = combine(kernel::div, std::move(target.gradient), s.value());
    dt = scaled(target.gradient, -1);
    kernel::mul(dt, target.value, ds);
    target.value = combine(kernel::add, combine(kernel::mul, std::move(target.value), s.value()), t.value());
  }
  backward_from(tape, v, source.gradient, {s, t}, {ds, dt});
}

}  // namespace retrace
