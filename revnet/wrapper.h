#pragma once
#include <retrace/revnet/invertible.h>

#include <memory>
#include <type_traits>
#include <utility>

namespace retrace {

/// What an `InvertibleModuleWrapper` keeps, and how often it is asked.
struct WrapperOptions {
  bool keep_input = false;          ///< forward keeps its inputs instead of releasing them
  bool keep_input_inverse = false;  ///< the same for inverse
  int num_bwd_passes = 1;           ///< how often backward may run through one forward (with a retained tape)
  bool disable = false;             ///< behave as the plain module; the other options are ignored
  bool preserve_rng_state = true;   ///< replays draw the forward's random numbers; false: others (wrong
                                    ///< gradients with dropout), as MemCNN's default did
  bool keep_masks = false;          ///< keep the masks of fn's ReLUs and the like from forward, instead of
                                    ///< deciding again on rebuilt values: one bit per element
};

/// Saves memory around any invertible module: on a tape, its activations are not kept and its inputs are
/// released; backward rebuilds them from the outputs. Without a tape it is the plain module.
///
/// Inputs are released only when they were made on the tape or are watched, and never the bytes of a
/// parameter, of a tensor of which a part is in use elsewhere, or of an output. Reading a released tensor
/// throws ReleasedError.
///
/// Under Autocast its bf16 and f16 inputs are cast to f32, so that the streams inside of fn are f32 while
/// fn's layers run in the scope's type; what is released is the copy. Disabled, it casts nothing.
class InvertibleModuleWrapper : public InvertibleModule {
 public:
  /// Around fn, which is shared, not copied; a module without an inverse does not compile. Throws
  /// ArgumentError for an empty pointer and for num_bwd_passes below 1.
  template <class M>
  explicit InvertibleModuleWrapper(std::shared_ptr<M> fn, const WrapperOptions& options = {})
      : InvertibleModuleWrapper(Checked{}, to_invertible(std::move(fn)), options) {}

  Vars forward_all(const Vars& x) override;
  Vars inverse_all(const Vars& y) override;
  Var forward(const Var& x) override { return forward_all(Vars{x}).front(); }
  Var inverse(const Var& y) override { return inverse_all(Vars{y}).front(); }
  Tensors advance(Tensors x) override;
  Tensors retreat(Tensors y) override;
  Rewound rewind(Tensors y, Tensors dy) override;
  Rewound rewind_inverse(Tensors x, Tensors dx) override;
  void members(Members& m) override { m.module("", fn_); }

  /// May be changed at any time; a forward that has run keeps the options it ran with.
  WrapperOptions& options() { return options_; }
  const WrapperOptions& options() const { return options_; }           ///< the same to read
  const std::shared_ptr<InvertibleModule>& fn() const { return fn_; }  ///< what is wrapped

 private:
  struct Checked {};
  InvertibleModuleWrapper(Checked, std::shared_ptr<InvertibleModule> fn, const WrapperOptions& options);

  template <class M>
  static std::shared_ptr<InvertibleModule> to_invertible(std::shared_ptr<M> fn) {
    static_assert(
        std::is_base_of_v<InvertibleModule, M>,
        "InvertibleModuleWrapper needs a module with an inverse: derive it from retrace::InvertibleModule");
    return fn;
  }
  std::shared_ptr<Module> copy() const override { return std::make_shared<InvertibleModuleWrapper>(*this); }

  std::shared_ptr<InvertibleModule> fn_;
  WrapperOptions options_;
};

}  // namespace retrace
