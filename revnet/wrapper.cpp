#include <retrace/autograd/record.h>
#include <retrace/core/fail.h>
#include <retrace/core/random.h>
#include <retrace/nn/option_ranges.h>
#include <retrace/revnet/replay.h>
#include <retrace/revnet/reversal.h>
#include <retrace/revnet/wrapper.h>

#include <algorithm>
#include <utility>

namespace retrace {

namespace {

constexpr std::string_view kWrapper = "InvertibleModuleWrapper";

/// Owns the outputs of a module that ran without a tape, and gets the inputs back from them.
class ReverseHook final : public TapeHook {
 public:
  ReverseHook(std::shared_ptr<InvertibleModule> fn, const ReversalOptions& options)
      : name_(options.name),
        fn_(std::move(fn)),
        state_(options.keep_masks && options.inputs != Inputs::kept),
        passes_(options.num_bwd_passes),
        preserve_rng_state_(options.preserve_rng_state) {}
  ~ReverseHook() override { give_up("their tape ended without a backward"); }

  /// Runs the module without a tape.
  Tensors forward(const Vars& x) {
    return state_.forward(name_, *fn_, [&] { return fn_->advance(values_of(x)); });
  }
  /// `x[i]` is undefined where the input is neither released nor kept.
  void own(const Tensors& x, const Tensors& y) {
    x_ = detail::note_contents(name_, x);
    y_ = detail::note_contents(name_, y);
  }
  /// To be called once the node is on the tape: from here on forward's inputs are gone.
  void release(const std::vector<bool>& releasable) {
    const std::string path = path_of(state_.scope().state.node);
    for (std::size_t i = 0; i < x_.size(); ++i)
      if (releasable[i]) x_[i].tensor.storage().release(path.empty() ? std::string(name_) : path);
  }

  std::string_view name() const override { return name_; }
  std::vector<SavedTensor> saved() const override {
    std::vector<SavedTensor> all = y_;
    all.insert(all.end(), x_.begin(), x_.end());
    for (SavedTensor& decision : state_.decisions()) all.push_back(std::move(decision));
    return all;
  }
  bool must_run() const override { return std::any_of(x_.begin(), x_.end(), is_released); }
  void abandon(std::string_view why) override { give_up(why); }
  Tensors backward(Tensors dy, const BackwardPass& pass) override;

 private:
  static bool is_released(const SavedTensor& x) {
    return x.tensor.defined() && x.tensor.storage().released();
  }
  static bool is_there(const SavedTensor& x) { return x.tensor.defined() && !x.tensor.storage().released(); }

  void give_up(std::string_view why) {
    for (SavedTensor& x : x_)
      if (is_released(x)) x.tensor.storage().give_up(why);
  }
  Tensors get_back(Tensors dy, const BackwardPass& pass);
  Tensors take_outputs(bool retain);
  Tensors inputs() const;
  void restore(Tensors x);

  std::string_view name_;
  std::shared_ptr<InvertibleModule> fn_;
  ReplayState state_;
  int passes_;
  int passes_run_ = 0;
  bool preserve_rng_state_;
  std::vector<SavedTensor> x_;
  std::vector<SavedTensor> y_;
};

Tensors ReverseHook::backward(Tensors dy, const BackwardPass& pass) {
  if (++passes_run_ > passes_)
    fail<GradientError>(name_, "backward may run num_bwd_passes = {} times through one forward, got one more",
                        passes_);
  return state_.replay(
      name_, *fn_, [&] { return get_back(std::move(dy), pass); }, preserve_rng_state_);
}

Tensors ReverseHook::get_back(Tensors dy, const BackwardPass& pass) {
  if (std::all_of(x_.begin(), x_.end(), is_there)) {
    detail::check_contents(name_, x_);
    return differentiate([&](const Vars& x) { return fn_->forward_all(x); }, inputs(), dy, pass.wants);
  }
  detail::check_contents(name_, y_);
  if (std::none_of(dy.begin(), dy.end(), [](const Tensor& d) { return d.defined(); })) {
    const Reenter scope(scope_snapshot(), Order::other);
    restore(fn_->retreat(take_outputs(pass.retain)));
    return Tensors(x_.size());
  }
  Rewound back = fn_->rewind(take_outputs(pass.retain), std::move(dy));
  check_rewound(name_, back);
  restore(std::move(back.x));
  return std::move(back.dx);
}

/// The outputs, to be overwritten unless another pass will come.
Tensors ReverseHook::take_outputs(bool retain) {
  Tensors y;
  for (SavedTensor& saved : y_) y.push_back(retain ? saved.tensor : std::exchange(saved.tensor, Tensor()));
  return y;
}

Tensors ReverseHook::inputs() const {
  Tensors x;
  for (const SavedTensor& saved : x_) x.push_back(saved.tensor);
  return x;
}

/// Puts what was rebuilt into the storage that forward released, so that whoever saved it finds it again.
void ReverseHook::restore(Tensors x) {
  if (x.size() != x_.size())
    fail<InvertibilityError>(name_, "{} inputs of forward must be computed back, got {}", x_.size(),
                             x.size());
  for (std::size_t i = 0; i < x_.size(); ++i) {
    if (!is_released(x_[i])) continue;
    Tensor source = x[i].unique() ? std::move(x[i]) : x[i].clone(x_[i].tensor.storage().tag());
    x_[i].tensor.storage().restore_from(source.storage());
  }
}

/// See the class comment of the wrapper.
bool may_release(const Var& x, const Tensors& y) {
  if (x.place().tape == 0) return false;
  const Storage& storage = x.value().storage();
  const bool fixed = storage.tag() == Tag::parameter || storage.tag() == Tag::buffer;
  const bool covers_all = !storage.sliced() && x.value().bytes() == storage.bytes();
  const bool is_output =
      std::any_of(y.begin(), y.end(), [&](const Tensor& t) { return t.shares_storage(x.value()); });
  return !fixed && covers_all && !is_output && !storage.released();
}

}  // namespace

Vars run_reversibly(const std::shared_ptr<InvertibleModule>& fn, const Vars& inputs,
                    const ReversalOptions& options) {
  kCountRange.check(options.name, "num_bwd_passes", options.num_bwd_passes);
  const Vars x = autocast::in_f32(inputs);  // what is rebuilt is rounded to the streams' type
  const ModuleScope scope(*fn);
  if (!wants_backward(*fn, x)) {
    const NoTape no_tape;
    return fn->forward_all(x);
  }
  auto hook = std::make_unique<ReverseHook>(fn, options);
  const Tensors y = hook->forward(x);
  std::vector<bool> releasable;
  Tensors held;
  for (const Var& input : x) {
    releasable.push_back(options.inputs == Inputs::released && may_release(input, y));
    held.push_back(options.inputs == Inputs::kept || releasable.back() ? input.value() : Tensor());
  }
  hook->own(held, y);
  ReverseHook& attached = *hook;
  Vars results = Tape::current()->attach(x, y, std::move(hook));
  attached.release(releasable);
  return results;
}

namespace {

ReversalOptions reversal(const WrapperOptions& options, bool keep_input) {
  return {.name = kWrapper,
          .inputs = keep_input ? Inputs::kept : Inputs::released,
          .num_bwd_passes = options.num_bwd_passes,
          .preserve_rng_state = options.preserve_rng_state,
          .keep_masks = options.keep_masks};
}

}  // namespace

InvertibleModuleWrapper::InvertibleModuleWrapper(Checked, std::shared_ptr<InvertibleModule> fn,
                                                 const WrapperOptions& options)
    : fn_(std::move(fn)), options_(options) {
  if (fn_ == nullptr) fail<ArgumentError>(kWrapper, "fn must be a module, got an empty pointer");
  kCountRange.check(kWrapper, "num_bwd_passes", options.num_bwd_passes);
}

Vars InvertibleModuleWrapper::forward_all(const Vars& x) {
  const ModuleScope scope(*this);
  if (!options_.disable) return run_reversibly(fn_, x, reversal(options_, options_.keep_input));
  const ModuleScope inner(*fn_);
  return fn_->forward_all(x);
}

Vars InvertibleModuleWrapper::inverse_all(const Vars& y) {
  const ModuleScope scope(*this);
  if (!options_.disable)
    return run_reversibly(std::make_shared<Inverse>(fn_), y, reversal(options_, options_.keep_input_inverse));
  const ModuleScope inner(*fn_);
  return fn_->inverse_all(y);
}

Tensors InvertibleModuleWrapper::advance(Tensors x) {
  const ModuleScope scope(*this);
  return fn_->advance(std::move(x));
}

Tensors InvertibleModuleWrapper::retreat(Tensors y) {
  const ModuleScope scope(*this);
  return fn_->retreat(std::move(y));
}

Rewound InvertibleModuleWrapper::rewind(Tensors y, Tensors dy) {
  const ModuleScope scope(*this);
  return fn_->rewind(std::move(y), std::move(dy));
}

Rewound InvertibleModuleWrapper::rewind_inverse(Tensors x, Tensors dx) {
  const ModuleScope scope(*this);
  return fn_->rewind_inverse(std::move(x), std::move(dx));
}

}  // namespace retrace
