#include <retrace/core/fail.h>
#include <retrace/revnet/checkpoint.h>
#include <retrace/revnet/coupling.h>
#include <retrace/revnet/replay.h>
#include <retrace/revnet/reversal.h>
#include <retrace/revnet/sequence.h>

#include <utility>

namespace retrace {

namespace {

const Coupling* as_coupling(const std::shared_ptr<InvertibleModule>& block) {
  return dynamic_cast<const Coupling*>(block.get());
}

bool all_cut_alike(const std::vector<std::shared_ptr<InvertibleModule>>& blocks) {
  const Coupling* first = as_coupling(blocks.front());
  for (const auto& block : blocks) {
    const Coupling* coupling = as_coupling(block);
    if (coupling == nullptr || coupling->split_dim() != first->split_dim()) return false;
  }
  return true;
}

}  // namespace

InvertibleSequence::InvertibleSequence(std::vector<std::shared_ptr<InvertibleModule>> blocks,
                                       std::size_t first_number)
    : blocks_(std::move(blocks)), first_number_(first_number) {
  if (blocks_.empty())
    fail<ArgumentError>("InvertibleSequence", "there must be at least one block, got none");
  for (const auto& block : blocks_)
    if (block == nullptr)
      fail<ArgumentError>("InvertibleSequence", "every block must be a module, got an empty pointer");
  couplings_alike_ = all_cut_alike(blocks_);
}

const std::shared_ptr<InvertibleModule>& InvertibleSequence::block(std::size_t i) const {
  if (i >= size())
    fail<ArgumentError>("InvertibleSequence", "a block's number must be below {}, got {}", size(), i);
  return blocks_[i];
}

void InvertibleSequence::members(Members& m) {
  for (std::size_t i = 0; i < blocks_.size(); ++i) m.module(name_of_block(i), blocks_[i]);
}

bool InvertibleSequence::cuts_into_streams(std::size_t inputs) const {
  return couplings_alike_ && inputs == 1;
}

/// Calls `step(block)`, with a shared pointer, for each block in the scope of its name, which is the same in
/// forward and on the way back.
template <class Step>
void InvertibleSequence::for_each_block(bool from_the_back, const Step& step) {
  for (std::size_t n = 0; n < blocks_.size(); ++n) {
    const std::size_t i = from_the_back ? blocks_.size() - 1 - n : n;
    const ModuleScope scope(*blocks_[i], name_of_block(i));
    step(blocks_[i]);
  }
}

/// Runs x, tensors or variables, through the blocks; where all are couplings that cut one tensor alike, as
/// two streams from end to end.
template <class Values, class Step>
Values InvertibleSequence::walk(Values x, bool from_the_back, const Step& step) {
  const ModuleScope scope(*this);
  const bool cut = cuts_into_streams(x.size());
  const Coupling* coupling = as_coupling(blocks_.front());
  if (cut) x = coupling->split(std::exchange(x.front(), {}));
  for_each_block(from_the_back, [&](const auto& block) { x = step(block, std::move(x)); });
  return cut ? Values{coupling->join(x)} : x;
}

Vars InvertibleSequence::forward_all(const Vars& x) {
  if (Tape::current() == nullptr) return constants(advance(values_of(x)));
  return walk(x, false, [](const auto& block, const Vars& v) { return block->forward_all(v); });
}

Var InvertibleSequence::forward_checkpointed(const Var& x) {
  return walk(Vars{x}, false, [](const auto& block, const Vars& v) { return checkpoint(block, v); }).front();
}

Vars InvertibleSequence::inverse_all(const Vars& y) {
  if (Tape::current() == nullptr) return constants(retreat(values_of(y)));
  return walk(y, true, [](const auto& block, const Vars& v) { return block->inverse_all(v); });
}

Tensors InvertibleSequence::advance(Tensors x) {
  return walk(std::move(x), false, [](const auto& block, Tensors t) { return block->advance(std::move(t)); });
}

Tensors InvertibleSequence::retreat(Tensors y) {
  return walk(std::move(y), true, [](const auto& block, Tensors t) { return block->retreat(std::move(t)); });
}

template <class Step>
Rewound InvertibleSequence::walk_with_gradients(Tensors y, Tensors dy, bool from_the_back, const Step& step) {
  const ModuleScope scope(*this);
  Rewound state{std::move(y), std::move(dy)};
  const bool cut = cuts_into_streams(state.x.size());
  const Coupling* coupling = as_coupling(blocks_.front());
  if (cut) {
    state.x = coupling->split(std::exchange(state.x.front(), Tensor()));
    const Tensor gradient = std::exchange(state.dx.front(), Tensor());
    state.dx = gradient.defined() ? coupling->split(gradient) : Tensors(2);
  }
  for_each_block(from_the_back, [&](const auto& block) {
    state = step(block, std::move(state.x), std::move(state.dx));
    check_rewound("InvertibleSequence", state);
  });
  if (!cut) return state;
  state.x = {coupling->join(std::exchange(state.x, {}))};
  state.dx = {coupling->join(std::exchange(state.dx, {}))};
  return state;
}

Rewound InvertibleSequence::rewind(Tensors y, Tensors dy) {
  return walk_with_gradients(std::move(y), std::move(dy), true, [](const auto& block, Tensors t, Tensors dt) {
    return block->rewind(std::move(t), std::move(dt));
  });
}

Rewound InvertibleSequence::rewind_inverse(Tensors x, Tensors dx) {
  return walk_with_gradients(std::move(x), std::move(dx), false,
                             [](const auto& block, Tensors t, Tensors dt) {
                               return block->rewind_inverse(std::move(t), std::move(dt));
                             });
}

}  // namespace retrace
