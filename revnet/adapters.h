#pragma once
#include <retrace/nn/module.h>
#include <retrace/revnet/coupling.h>

#include <memory>
#include <utility>

namespace retrace {

/// t = f(x), s = exp(t).
class AffineAdapterNaive final : public Module {
 public:
  /// f returns t. Throws ArgumentError if it is null.
  explicit AffineAdapterNaive(std::shared_ptr<Module> f);
  Vars forward_all(const Vars& x) override;
  void members(Members& m) override { m.module("f", f_); }

 private:
  std::shared_ptr<Module> copy() const override { return std::make_shared<AffineAdapterNaive>(*this); }
  std::shared_ptr<Module> f_;
};

/// h = f(x) with twice the channels of a stream; s = sigmoid(h[:, 1::2] + 2), t = h[:, 0::2].
class AffineAdapterSigmoid final : public Module {
 public:
  /// f returns twice the channels of a stream. Throws ArgumentError if it is null.
  explicit AffineAdapterSigmoid(std::shared_ptr<Module> f);
  /// Throws ShapeError when the channels of h are odd in number.
  Vars forward_all(const Vars& x) override;
  void members(Members& m) override { m.module("f", f_); }

 private:
  std::shared_ptr<Module> copy() const override { return std::make_shared<AffineAdapterSigmoid>(*this); }
  std::shared_ptr<Module> f_;
};

/// An adapter class as the function that AffineCoupling takes: `AffineCoupling(F, G,
/// adapter<AffineAdapterNaive>())`.
template <class Adapter>
AffineAdapter adapter() {
  return [](std::shared_ptr<Module> f) -> std::shared_ptr<Module> {
    return std::make_shared<Adapter>(std::move(f));
  };
}

}  // namespace retrace
