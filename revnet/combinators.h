#pragma once
#include <retrace/revnet/invertible.h>

#include <cstdint>
#include <memory>
#include <vector>

namespace retrace {

/// @file
/// Containers of invertible modules that rewind through their children: no child's activations are held,
/// however deep it is. `InvertibleSequence` runs its children in sequence; those here apply one to a part of
/// the channels, or several in parallel.

/// Applies an invertible module to a part of the channels: y = x, but y[:, begin:end] = fn(x[:, begin:end]).
class OnChannels final : public InvertibleModule {
 public:
  /// fn, which keeps the shape of its part, is shared, not copied; `dim` is the dimension that is cut. Throws
  /// ArgumentError if fn is null, or unless 0 <= begin < end.
  OnChannels(std::shared_ptr<InvertibleModule> fn, std::int64_t begin, std::int64_t end, int dim = 1);

  /// Throws ShapeError if x lacks the channels or fn changes their shape.
  Var forward(const Var& x) override;
  /// Throws as forward does.
  Var inverse(const Var& y) override;
  Tensors advance(Tensors x) override;
  Tensors retreat(Tensors y) override;
  Rewound rewind(Tensors y, Tensors dy) override;
  Rewound rewind_inverse(Tensors x, Tensors dx) override;
  void members(Members& m) override { m.module("", fn_); }

 private:
  std::shared_ptr<Module> copy() const override { return std::make_shared<OnChannels>(*this); }
  int checked_dim(const Shape& shape) const;
  void check_same(const Shape& part, const Shape& result) const;
  Tensor part_of(const Tensor& x) const;
  Tensor with_part(Tensor x, const Tensor& part) const;
  template <class Step>
  Var run(const Var& x, const Step& step);
  template <class Step>
  Tensors run_in_place(Tensors x, const Step& step);
  template <class Step>
  Rewound run_back(Tensors y, Tensors dy, const Step& step);

  std::shared_ptr<InvertibleModule> fn_;
  std::int64_t begin_;
  std::int64_t end_;
  int dim_;
};

/// Invertible modules side by side, named "0", "1", ...: y_i = fn_i(x_i), for as many tensors as modules.
class Parallel final : public InvertibleModule {
 public:
  /// The modules are shared, not copied. Throws ArgumentError without a module and for a null one.
  explicit Parallel(std::vector<std::shared_ptr<InvertibleModule>> modules);

  /// Throws ArgumentError unless there is one tensor for each module.
  Vars forward_all(const Vars& x) override;
  /// Throws as forward_all does.
  Vars inverse_all(const Vars& y) override;
  Tensors advance(Tensors x) override;
  Tensors retreat(Tensors y) override;
  Rewound rewind(Tensors y, Tensors dy) override;
  Rewound rewind_inverse(Tensors x, Tensors dx) override;
  void members(Members& m) override;

 private:
  std::shared_ptr<Module> copy() const override { return std::make_shared<Parallel>(*this); }
  template <class Step>
  void for_each(std::size_t tensors, const Step& step);
  template <class Step>
  Rewound run_back(Tensors y, Tensors dy, const Step& step);

  std::vector<std::shared_ptr<InvertibleModule>> modules_;
};

}  // namespace retrace
