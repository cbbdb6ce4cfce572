#include <retrace/core/not_null.h>
#include <retrace/revnet/checkpoint.h>
#include <retrace/revnet/stage.h>

#include <string>
#include <utility>

namespace retrace {

Stage::Stage(std::vector<std::shared_ptr<Module>> ordinary,
             std::vector<std::shared_ptr<InvertibleModule>> invertible)
    : ordinary_(none_null("Stage", "block", std::move(ordinary))) {
  if (!invertible.empty())
    run_ = std::make_shared<InvertibleSequence>(std::move(invertible), ordinary_.size());
}

void Stage::members(Members& m) {
  for (std::size_t i = 0; i < ordinary_.size(); ++i) m.module(std::to_string(i), ordinary_[i]);
  m.module("", run_);
}

Var Stage::forward(const Var& x) {
  Var h = x;
  for (std::size_t i = 0; i < ordinary_.size(); ++i) {
    const ModuleScope scope(*ordinary_[i], std::to_string(i));
    h = policy_ == Policy::stored ? ordinary_[i]->forward(h) : checkpoint(ordinary_[i], h);
  }
  if (run_ == nullptr) return h;
  const ModuleScope scope(*run_);
  if (is_reversible(policy_))
    return InvertibleModuleWrapper(run_, {.keep_masks = policy_ == Policy::reversible_masks})(h);
  return policy_ == Policy::stored ? (*run_)(h) : run_->forward_checkpointed(h);
}

}  // namespace retrace
