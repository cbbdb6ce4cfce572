#pragma once
// Couplings of any functions, for the rows about couplings.
#include <retrace/revnet/reversible_block.h>

#include <functional>
#include <string_view>
#include <utility>

#include "modules.h"

namespace retrace::test {

/// Any function of variables as a module.
class Function final : public Module {
 public:
  explicit Function(std::function<Vars(const Vars&)> f) : f_(std::move(f)) {}
  Vars forward_all(const Vars& x) override { return f_(x); }
  Var forward(const Var& x) override { return f_({x}).front(); }

 private:
  std::shared_ptr<Module> copy() const override { return std::make_shared<Function>(*this); }
  std::function<Vars(const Vars&)> f_;
};

/// A function of one variable that returns one.
inline std::shared_ptr<Module> function(std::function<Var(const Var&)> f) {
  return std::make_shared<Function>([f = std::move(f)](const Vars& x) { return Vars{f(x.front())}; });
}

/// A function of one variable that returns a scale and a shift.
inline std::shared_ptr<Module> scale_and_shift(std::function<Vars(const Var&)> f) {
  return std::make_shared<Function>([f = std::move(f)](const Vars& x) { return f(x.front()); });
}

inline Tensor numbers(std::initializer_list<double> values, const Shape& shape) {
  return Tensor::from<double>(values, shape);
}

inline constexpr int kImplementations[] = {-1, 0, 1};
inline constexpr std::uint64_t kSeeds = 10;

/// A coupling by name, with the naive adapter where it is affine.
inline std::shared_ptr<Coupling> naive_coupling(std::string_view name, std::shared_ptr<Module> F,
                                                std::shared_ptr<Module> G, int implementation = -1,
                                                int split_dim = 1) {
  return create_coupling(
      std::move(F), std::move(G), name, adapter<AffineAdapterNaive>(),
      {.implementation_fwd = implementation, .implementation_bwd = implementation, .split_dim = split_dim});
}

/// Runs the check without a tape, which takes other code, and on one.
template <class Check>
void with_and_without_tape(const Check& check) {
  check();
  const Tape tape;
  check();
}

}  // namespace retrace::test
