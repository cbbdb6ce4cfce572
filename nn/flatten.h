#pragma once
#include <retrace/nn/module.h>

namespace retrace {

/// Joins the dimensions from start_dim on into one: by default, [N, C, H, W] -> [N, C H W].
class Flatten final : public Module {
 public:
  /// start_dim: the first of the dimensions that are joined; it counts from the end where it is negative.
  explicit Flatten(int start_dim = 1) : start_dim_(start_dim) {}
  Var forward(const Var& x) override;

 private:
  std::shared_ptr<Module> copy() const override { return std::make_shared<Flatten>(*this); }
  int start_dim_;
};

}  // namespace retrace
