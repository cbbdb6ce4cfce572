#pragma once
#include <retrace/nn/module.h>

namespace retrace {

/// In training, y = x / (1 - p) or, with probability p, 0, for each element alone; in evaluation, y = x.
/// Srivastava et al.: "Dropout: a simple way to prevent neural networks from overfitting", JMLR 2014.
class Dropout final : public Module {
 public:
  /// Throws ArgumentError unless 0 <= p <= 1.
  explicit Dropout(double p = 0.5);
  Var forward(const Var& x) override;

 private:
  std::shared_ptr<Module> copy() const override { return std::make_shared<Dropout>(*this); }
  double p_;
};

}  // namespace retrace
