#pragma once
#include <retrace/autograd/var.h>
#include <retrace/core/dtype.h>
#include <retrace/core/guard.h>

#include <optional>

namespace retrace {

/// While it exists, this thread's operations choose their element types as under PyTorch's autocast on f32,
/// bf16 and f16 tensors (f64 ones are left alone):
///
/// - matmul, linear and conv2d cast their inputs, the weights too, to `dtype`, and return it;
/// - norms, losses, embeddings, softmax, exp, log, square, reciprocal and reductions cast theirs to f32, and
///   so do the streams of reversible modules;
/// - add, sub, mul, div and concatenate cast to the wider type of their inputs;
/// - all others run in the type they get.
///
/// Parameters stay in f32, and so do their gradients. Each use of a weight casts it anew: unlike PyTorch's,
/// an Autocast keeps no copies. Backward runs in the types that forward chose, whatever scope it is called
/// in. Micikevicius et al.: "Mixed precision training", ICLR 2018.
class Autocast {
 public:
  /// Nothing is cast in a scope of std::nullopt, as inside another one. Throws DTypeError unless dtype is
  /// bf16 or f16. Gradients of f16 need a GradScaler.
  explicit Autocast(std::optional<DType> dtype = DType::bf16);

  /// The type of the innermost scope of this thread.
  static std::optional<DType> dtype();

 private:
  detail::Guard guard_;
};

/// The three rules, for those who write operations. Each asks first, so that outside of a scope an operation
/// pays for one look:
///
///     if (autocast::to_f32(x, y)) return my_loss(autocast::in_f32(x), autocast::in_f32(y));
namespace autocast {

namespace detail {
/// x is to be cast to dtype: it is of another of the types that Autocast chooses among.
inline bool is_other(const Var& x, DType dtype) {
  return x.defined() && x.dtype() != dtype && is_float(x.dtype()) && x.dtype() != DType::f64;
}
}  // namespace detail

/// In a scope, one of the inputs is to be cast to the scope's type.
template <class... Inputs>
bool to_lower(const Inputs&... x) {
  return Autocast::dtype() && (detail::is_other(x, *Autocast::dtype()) || ...);
}
/// x as it is to be.
Var in_lower(const Var& x);

/// In a scope, one of the inputs is to be cast to f32.
template <class... Inputs>
bool to_f32(const Inputs&... x) {
  return Autocast::dtype() && (detail::is_other(x, DType::f32) || ...);
}
/// x as it is to be: bf16 becomes f32 in a scope.
Var in_f32(const Var& x);
/// The same of each.
Vars in_f32(const Vars& xs);

/// In a scope, one of the two is to be cast to the other's type.
inline bool to_wider(const Var& x, const Var& y) {
  return Autocast::dtype() && x.dtype() != y.dtype() && is_float(x.dtype()) && is_float(y.dtype());
}

}  // namespace autocast

}  // namespace retrace
