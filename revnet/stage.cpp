#include <retrace/revnet/checkpoint.h>
#include <retrace/revnet/stage.h>

#include <string>
#include <utility>

namespace retrace {

Stage::Stage(std::vector<std::shared_ptr<Module>> ordinary,
             std::vector<std::shared_ptr<InvertibleModule>> invertible)
    : ordinary_(std::move(ordinary)) {
  if (!invertible.empty())
    run_ = std::make_shared<InvertibleSequence>(std::move(invertible), ordinary_.size());
}

void Stage::members(Members& m) {
  for (std::size_t i = 0; i < ordinary_.size(); ++i) m.module(std::to_string(i), ordinary_[i]);
  m.module("", run_);
}

Var Stage::run_block(const std::shared_ptr<Module>& block, std::size_t number, const Var& x) const {
  const Scope scope(std::to_string(number));
  block->name_children();
  return policy_ == Policy::stored ? block->forward(x) : checkpoint(block, x);
}

Var Stage::forward(const Var& x) {
  Var h = x;
  std::size_t number = 0;
  for (const auto& block : ordinary_) h = run_block(block, number++, h);
  if (run_ == nullptr) return h;
  if (policy_ == Policy::reversible) return InvertibleModuleWrapper(run_)(h);
  if (policy_ == Policy::stored) return (*run_)(h);
  for (std::size_t i = 0; i < run_->size(); ++i) h = run_block(run_->block(i), number++, h);
  return h;
}

}  // namespace retrace
