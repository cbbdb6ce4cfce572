#pragma once
#include <retrace/revnet/invertible.h>

#include <memory>
#include <string>
#include <vector>

namespace retrace {

/// Invertible modules one behind the other, named "0", "1", ... (or from `first_number` on). Where all are
/// couplings that cut the same dimension, the two streams stay two tensors from end to end and are updated in
/// place: one more block costs no more bytes.
class InvertibleSequence final : public InvertibleModule {
 public:
  /// Throws ArgumentError without a block and for an empty pointer.
  explicit InvertibleSequence(std::vector<std::shared_ptr<InvertibleModule>> blocks,
                              std::size_t first_number = 0);

  Vars forward_all(const Vars& x) override;
  Vars inverse_all(const Vars& y) override;
  Var forward(const Var& x) override { return forward_all(Vars{x}).front(); }
  Var inverse(const Var& y) override { return inverse_all(Vars{y}).front(); }
  /// forward, where each block keeps its input alone and runs again from it: see `checkpoint`.
  Var forward_checkpointed(const Var& x);
  Tensors advance(Tensors x) override;
  Tensors retreat(Tensors y) override;
  Rewound rewind(Tensors y, Tensors dy) override;
  Rewound rewind_inverse(Tensors x, Tensors dx) override;
  void members(Members& m) override;

  std::size_t size() const { return blocks_.size(); }  ///< how many blocks there are
  /// The i-th, from 0. Throws ArgumentError out of range.
  const std::shared_ptr<InvertibleModule>& block(std::size_t i) const;

 private:
  std::shared_ptr<Module> copy() const override { return std::make_shared<InvertibleSequence>(*this); }
  std::string name_of_block(std::size_t i) const { return std::to_string(first_number_ + i); }
  template <class Step>
  void for_each_block(bool from_the_back, const Step& step);
  template <class Values, class Step>
  Values walk(Values x, bool from_the_back, const Step& step);
  template <class Step>
  Rewound walk_with_gradients(Tensors y, Tensors dy, bool from_the_back, const Step& step);
  bool cuts_into_streams(std::size_t inputs) const;

  std::vector<std::shared_ptr<InvertibleModule>> blocks_;
  std::size_t first_number_;
  bool couplings_alike_;
};

}  // namespace retrace
