#pragma once
#include <retrace/nn/module.h>

namespace retrace {

/// What a `Linear` owns.
struct LinearOptions {
  bool bias = true;  ///< whether there is one
};

/// y = x weight^T + bias.
/// x: [..., in], weight: [out, in], bias: [out] -> [..., out]
class Linear final : public Module {
 public:
  /// Begins with init::layer_default. Throws ArgumentError for features below 1.
  Linear(std::int64_t in_features, std::int64_t out_features, const LinearOptions& options = {});

  Var forward(const Var& x) override;
  void members(Members& m) override;

  Parameter& weight() { return weight_; }  ///< w, [out, in]
  /// Undefined without one.
  Parameter& bias() { return bias_; }

 private:
  std::shared_ptr<Module> copy() const override { return std::make_shared<Linear>(*this); }

  Parameter weight_;
  Parameter bias_;
};

}  // namespace retrace
