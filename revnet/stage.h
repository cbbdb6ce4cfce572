#pragma once
#include <retrace/revnet/policy.h>
#include <retrace/revnet/sequence.h>
#include <retrace/revnet/wrapper.h>

#include <memory>
#include <vector>

namespace retrace {

/// Ordinary blocks, then a run of invertible ones (either may be absent), and a policy for how they get their
/// activations back. Blocks are named "0", "1", ... through both. All policies compute the same numbers.
class Stage final : public Module {
 public:
  /// Either may be empty. Throws ArgumentError for a null block.
  Stage(std::vector<std::shared_ptr<Module>> ordinary,
        std::vector<std::shared_ptr<InvertibleModule>> invertible);

  Var forward(const Var& x) override;
  void members(Members& m) override;

  /// How the blocks get their activations back from now on.
  void set_policy(Policy policy) { policy_ = policy; }

 private:
  std::shared_ptr<Module> copy() const override { return std::make_shared<Stage>(*this); }

  std::vector<std::shared_ptr<Module>> ordinary_;
  std::shared_ptr<InvertibleSequence> run_;
  Policy policy_ = Policy::stored;
};

}  // namespace retrace
