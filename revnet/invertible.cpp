#include <retrace/core/fail.h>
#include <retrace/core/not_null.h>
#include <retrace/revnet/invertible.h>
#include <retrace/revnet/replay.h>
#include <retrace/revnet/reversal.h>

namespace retrace {

namespace {

/// The rewind that serves any module: `undo` gives the inputs, `redo` runs on a local tape. Each starts in
/// the scope as forward found it, so that dropout draws the numbers of the forward both times.
template <class Undo, class Redo>
Rewound rewind_by_recomputing(Tensors y, const Tensors& dy, const Undo& undo, const Redo& redo) {
  const ScopeSnapshot here = scope_snapshot();
  Rewound result;
  {
    const Reenter scope(here, Order::other);
    result.x = undo(std::move(y));
  }
  const Reenter scope(here);
  result.dx = differentiate(redo, result.x, dy, Wants::all(result.x.size()));
  return result;
}

}  // namespace

Inverse::Inverse(std::shared_ptr<InvertibleModule> fn) : fn_(not_null("Inverse", "fn", std::move(fn))) {}

void check_rewound(std::string_view op, const Rewound& back) {
  if (back.x.size() != back.dx.size())
    fail<GradientError>(op, "a rewind must bring back one gradient for each input, got {} for {}",
                        back.dx.size(), back.x.size());
}

Var InvertibleModule::inverse(const Var&) {
  fail<NotImplementedError>("inverse",
                            "a module that overrides inverse_all is inverted with a list, as "
                            "inverse_all({{y1, y2}}); one that takes one tensor must override inverse");
}

Vars InvertibleModule::inverse_all(const Vars& ys) {
  if (ys.size() != 1)
    fail<ArgumentError>("inverse", "this module's inverse takes 1 input, got {}", ys.size());
  return {inverse(ys.front())};
}

Tensors InvertibleModule::advance(Tensors x) {
  const NoTape no_tape;
  const ModuleScope scope(*this);
  return values_of(forward_all(constants(x)));
}

Tensors InvertibleModule::retreat(Tensors y) {
  const NoTape no_tape;
  const ModuleScope scope(*this);
  return values_of(inverse_all(constants(y)));
}

Rewound InvertibleModule::rewind(Tensors y, Tensors dy) {
  return rewind_by_recomputing(
      std::move(y), dy, [this](Tensors t) { return retreat(std::move(t)); },
      [this](const Vars& x) { return forward_all(x); });
}

Rewound InvertibleModule::rewind_inverse(Tensors x, Tensors dx) {
  return rewind_by_recomputing(
      std::move(x), dx, [this](Tensors t) { return advance(std::move(t)); },
      [this](const Vars& y) { return inverse_all(y); });
}

}  // namespace retrace
