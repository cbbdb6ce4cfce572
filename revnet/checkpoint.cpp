#include <retrace/autograd/record.h>
#include <retrace/core/not_null.h>
#include <retrace/revnet/checkpoint.h>
#include <retrace/revnet/replay.h>

#include <utility>

namespace retrace {

namespace {

constexpr std::string_view kName = "checkpoint";

class CheckpointHook final : public TapeHook {
 public:
  CheckpointHook(std::shared_ptr<Module> module, const Vars& x)
      : module_(std::move(module)), x_(detail::note_contents(kName, values_of(x))) {}

  std::string_view name() const override { return kName; }
  std::vector<SavedTensor> saved() const override { return x_; }
  /// Runs the module without a tape.
  Tensors forward(const Vars& x) {
    return state_.forward(kName, *module_, [&] {
      const NoTape no_tape;
      return values_of(module_->forward_all(x));
    });
  }
  Tensors backward(Tensors dy, const BackwardPass& pass) override {
    return state_.replay(kName, *module_, [&] {
      detail::check_contents(kName, x_);
      Tensors x;
      for (const SavedTensor& saved : x_) x.push_back(saved.tensor);
      return differentiate([&](const Vars& v) { return module_->forward_all(v); }, x, dy, pass.wants);
    });
  }

 private:
  std::shared_ptr<Module> module_;
  ReplayState state_;
  std::vector<SavedTensor> x_;
};

}  // namespace

Vars checkpoint(const std::shared_ptr<Module>& module, const Vars& x) {
  const ModuleScope scope(*not_null(kName, "module", module.get()));
  if (!wants_backward(*module, x)) {
    const NoTape no_tape;
    return module->forward_all(x);
  }
  auto hook = std::make_unique<CheckpointHook>(module, x);
  const Tensors y = hook->forward(x);
  return Tape::current()->attach(x, y, std::move(hook));
}

Var checkpoint(const std::shared_ptr<Module>& module, const Var& x) {
  return checkpoint(module, Vars{x}).front();
}

}  // namespace retrace
