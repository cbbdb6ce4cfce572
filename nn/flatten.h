#pragma once
#include <retrace/nn/module.h>

namespace retrace {

/// Joins the dimensions from start_dim to end_dim into one: by default, [N, C, H, W] -> [N, C H W].
class Flatten final : public Module {
 public:
  /// The first and the last of the dimensions that are joined; a negative one counts from the end.
  explicit Flatten(int start_dim = 1, int end_dim = -1) : start_dim_(start_dim), end_dim_(end_dim) {}
  Var forward(const Var& x) override;

 private:
  std::shared_ptr<Module> copy() const override { return std::make_shared<Flatten>(*this); }
  int start_dim_;
  int end_dim_;
};

}  // namespace retrace
