#pragma once
#include <retrace/revnet/invertible.h>

#include <functional>
#include <memory>
#include <string_view>

namespace retrace {

/// The implementations differ in what a tape keeps of a coupling that no wrapper surrounds, and agree in all
/// results: -1 records the formula; 0 keeps the input and runs the formula again from it (see `checkpoint`);
/// 1 keeps the output and rebuilds from it, stream by stream, by the paper's algorithm 1. None of them
/// releases the input: that is the wrapper's, for which -1 is meant.
struct CouplingOptions {
  int implementation_fwd = -1;  ///< for gradients through forward: -1, 0 or 1
  int implementation_bwd = -1;  ///< for gradients through inverse: -1, 0 or 1
  int split_dim = 1;            ///< the dimension that is cut into the two streams
};

/// Two streams that change in turn, each by a function of the other, so that every step can be undone:
///
///     y1 = step(x1, F(x2))        x2 = undo(y2, G(y1))
///     y2 = step(x2, G(y1))        x1 = undo(y1, F(x2))
///
/// Takes one tensor, whose dimension `split_dim` holds both streams, or the two streams themselves. Under
/// Autocast the streams are f32, whatever F and G return.
/// F and G run twice in a training step: once in forward, and once when the stream that they changed is
/// rebuilt, which is the evaluation that is also differentiated. Gomez, Ren, Urtasun, Grosse: "The Reversible
/// Residual Network", NIPS 2017, algorithm 1.
class Coupling : public InvertibleModule {
 public:
  Var forward(const Var& x) override;
  Var inverse(const Var& y) override;
  Vars forward_all(const Vars& x) override;
  Vars inverse_all(const Vars& y) override;
  Tensors advance(Tensors x) override;
  Tensors retreat(Tensors y) override;
  Rewound rewind(Tensors y, Tensors dy) override;
  Rewound rewind_inverse(Tensors x, Tensors dx) override;
  void members(Members& m) override;

  int split_dim() const { return options_.split_dim; }  ///< the dimension that holds both streams

  /// x1 and x2, cut from x. Throws ShapeError when the dimension is absent or odd.
  Tensors split(const Tensor& x) const;
  /// One tensor of two streams.
  Tensor join(const Tensors& streams) const;
  /// The same on the tape.
  Vars split(const Var& x) const;
  /// The same on the tape.
  Var join(const Vars& streams) const;

 protected:
  /// `class_name`, a string literal, stands in errors. Without G, it is a copy of F that shares nothing with
  /// it. Throws ArgumentError without F, NotImplementedError for an unknown implementation.
  Coupling(std::string_view class_name, std::shared_ptr<Module> F, std::shared_ptr<Module> G,
           const CouplingOptions& options);

  /// Which way a half step goes.
  enum class Direction {
    forward,  ///< from x to y
    inverse   ///< from y to x
  };

  /// A stream and its gradient on the way back.
  struct Stream {
    Tensor value;     ///< its numbers
    Tensor gradient;  ///< dLoss/dvalue; zeros where none arrived
  };

  /// F or G, which runs under its name whoever else lists the module.
  class Branch {
   public:
    /// `name` is "F" or "G".
    Branch(std::string_view name, Module& module) : name_(name), module_(module) {}
    /// Calls the module.
    template <class Inputs>
    Inputs operator()(const Inputs& x) const {
      const ModuleScope scope(module_, name_);
      return module_(x);
    }
    /// Calls Module::onto.
    Var onto(Var& residual, Sign sign, const Var& x) const {
      const ModuleScope scope(module_, name_);
      return module_.onto(residual, sign, x);
    }

   private:
    std::string_view name_;
    Module& module_;
  };

  std::string_view class_name() const { return class_name_; }  ///< what stands in errors

 private:
  std::shared_ptr<Module> copy() const override = 0;  // again, for of_formula to call
  /// The recorded half step: what becomes of `target`, given m(source).
  virtual Var half_step(const Branch& m, const Var& target, const Var& source, Direction direction) = 0;
  /// The same without a tape, in target's own bytes where nobody else holds them.
  virtual Tensor half_step(const Branch& m, Tensor target, const Tensor& source, Direction direction) = 0;
  /// Undoes the half step that `direction` names: `target` goes from after to before it, with its gradient;
  /// source.gradient gets what flows through m.
  virtual void rewind_half_step(const Branch& m, Stream& target, Stream& source, Direction direction) = 0;

  Vars run_as_chosen(const Vars& x, Direction direction);
  Vars run_formula(const Vars& x, Direction direction);
  Vars run(const Vars& inputs, Direction direction);
  Var run_joined(const Var& x, Direction direction);
  std::shared_ptr<InvertibleModule> of_formula(Direction direction) const;
  Tensors run_in_place(Tensors streams, Direction direction);
  Rewound rewind_streams(Tensors y, Tensors dy, Direction direction);
  void check_pair(std::size_t count) const;
  Branch F() const { return {"F", *F_}; }
  Branch G() const { return {"G", *G_}; }
  std::int64_t half_of(const Shape& shape) const;

  std::string_view class_name_;
  std::shared_ptr<Module> F_;
  std::shared_ptr<Module> G_;
  CouplingOptions options_;
};

/// y1 = x1 + F(x2); y2 = x2 + G(y1).
/// Dinh, Krueger, Bengio: "NICE: non-linear independent components estimation", 2014.
class AdditiveCoupling final : public Coupling {
 public:
  /// Fm and Gm are the F and G of the formula; without Gm, it is a copy of Fm that shares nothing with it.
  /// Throws ArgumentError without Fm, NotImplementedError for an unknown implementation.
  explicit AdditiveCoupling(std::shared_ptr<Module> Fm, std::shared_ptr<Module> Gm = nullptr,
                            const CouplingOptions& options = {})
      : Coupling("AdditiveCoupling", std::move(Fm), std::move(Gm), options) {}

 private:
  Var half_step(const Branch& m, const Var& target, const Var& source, Direction direction) override;
  Tensor half_step(const Branch& m, Tensor target, const Tensor& source, Direction direction) override;
  void rewind_half_step(const Branch& m, Stream& target, Stream& source, Direction direction) override;
  std::shared_ptr<Module> copy() const override { return std::make_shared<AdditiveCoupling>(*this); }
};

/// Makes of a module f a module that returns a scale and a shift, (s, t).
using AffineAdapter = std::function<std::shared_ptr<Module>(std::shared_ptr<Module>)>;

/// y1 = s x1 + t with (s, t) = F(x2); y2 = s x2 + t with (s, t) = G(y1). s is the scale itself, not its
/// logarithm. Inverse and rewind throw InvertibilityError unless s is finite and not 0. With an adapter, A(F)
/// and A(G) stand in the place of F and G. Dinh, Sohl-Dickstein, Bengio: "Density estimation using real NVP",
/// ICLR 2017.
class AffineCoupling final : public Coupling {
 public:
  /// Fm and Gm are the F and G of the formula, and return (s, t), or what the adapter makes that of; without
  /// Gm, it is a copy of Fm that shares nothing with it. Throws ArgumentError without Fm, NotImplementedError
  /// for an unknown implementation.
  explicit AffineCoupling(std::shared_ptr<Module> Fm, std::shared_ptr<Module> Gm = nullptr,
                          const AffineAdapter& adapter = nullptr, const CouplingOptions& options = {});

 private:
  Var half_step(const Branch& m, const Var& target, const Var& source, Direction direction) override;
  Tensor half_step(const Branch& m, Tensor target, const Tensor& source, Direction direction) override;
  void rewind_half_step(const Branch& m, Stream& target, Stream& source, Direction direction) override;
  std::shared_ptr<Module> copy() const override { return std::make_shared<AffineCoupling>(*this); }
};

}  // namespace retrace
