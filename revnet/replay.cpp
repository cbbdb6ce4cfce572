#include <retrace/core/fail.h>
#include <retrace/revnet/replay.h>

#include <algorithm>
#include <string>

namespace retrace {

namespace {

/// Lists the numbers that must not change between a forward and its replay, always in the same order. Without
/// `paths` (the common case, once a forward) no text is made.
class Notes final : public Members {
 public:
  explicit Notes(Module& root, std::vector<std::string>* paths = nullptr) : paths_(paths) {
    enter(root, "mode");
  }
  std::vector<std::uint64_t> take() { return std::move(noted_); }

 private:
  void enter(Module& module, std::string_view name) {
    const bool outer = std::exchange(training_, module.training());
    note(name, training_ ? 1 : 0);
    module.members(*this);
    training_ = outer;
  }
  void note(std::string_view name, std::uint64_t number) {
    noted_.push_back(number);
    if (paths_ != nullptr) paths_->push_back(path_ + std::string(name));
  }
  void on_parameter(std::string_view name, Parameter& parameter) override {
    note(name, parameter.value().storage().content());
  }
  void on_buffer(std::string_view name, Tensor& buffer) override {
    if (!training_) note(name, buffer.storage().content());
  }
  void on_module(std::string_view name, Module& child, const Replace&) override {
    const std::string outer = path_;
    if (paths_ != nullptr && !name.empty()) path_ += std::string(name) + ".";
    enter(child, "mode");
    path_ = outer;
  }

  bool training_ = true;
  std::string path_;
  std::vector<std::string>* paths_;
  std::vector<std::uint64_t> noted_;
};

}  // namespace

ReplayState::ReplayState(Module& module)
    : scope_(scope_snapshot()), autocast_(Autocast::dtype()), noted_(Notes(module).take()) {
  noted_.shrink_to_fit();
}

void ReplayState::check(std::string_view op, Module& module) const {
  if (Notes(module).take() == noted_) return;
  std::vector<std::string> paths;
  const std::vector<std::uint64_t> now = Notes(module, &paths).take();
  const std::size_t common = std::min(now.size(), noted_.size());
  const auto different =
      std::mismatch(now.begin(), now.begin() + static_cast<std::ptrdiff_t>(common), noted_.begin());
  const auto index = static_cast<std::size_t>(different.first - now.begin());
  const std::string what = index < paths.size() ? paths[index] : "the list of parameters";
  fail<GradientError>(
      op,
      "parameters, buffers and train/eval mode must be in backward as they were in forward, but {} changed",
      what);
}

namespace {

ScopeSnapshot with_other_random_numbers(ScopeSnapshot scope) {
  scope.state.random.key = mix(scope.state.random.key, 1);
  return scope;
}

}  // namespace

Replay::Replay(ReplayState& state, Module& module, bool same_random_numbers)
    : scope_(same_random_numbers ? state.scope() : with_other_random_numbers(state.scope())),
      module_(module, ""),
      autocast_(state.autocast()) {
  if (same_random_numbers) draws_.emplace(state.draws().verify());
}

Tensors differentiate(const std::function<Vars(const Vars&)>& f, const Tensors& x, const Tensors& dy,
                      const Wants& wants) {
  Tape tape;
  Vars leaves;
  for (std::size_t i = 0; i < x.size(); ++i)
    leaves.push_back(wants[i] && is_float(x[i].dtype()) ? tape.watch(x[i]) : Var(x[i]));
  Vars roots;
  Tensors gradients;
  Vars y = f(leaves);
  for (std::size_t i = 0; i < y.size(); ++i) {
    if (!dy[i].defined() || y[i].place().tape == 0) continue;
    roots.push_back(std::move(y[i]));
    gradients.push_back(dy[i]);
  }
  if (!roots.empty()) tape.backward(roots, std::move(gradients));
  Tensors dx;
  for (const Var& leaf : leaves) dx.push_back(leaf.constant() ? Tensor() : tape.grad(leaf));
  return dx;
}

bool wants_backward(Module& module, const Vars& x) {
  if (Tape::current() == nullptr) return false;
  if (std::any_of(x.begin(), x.end(), needs_gradient)) return true;
  const std::vector<Parameter*> parameters = module.parameters();
  return std::any_of(parameters.begin(), parameters.end(),
                     [](const Parameter* p) { return p->requires_grad(); });
}

Tensors values_of(const Vars& vars) {
  Tensors tensors;
  for (const Var& v : vars) tensors.push_back(v.value());
  return tensors;
}

Vars constants(const Tensors& tensors) { return Vars(tensors.begin(), tensors.end()); }

}  // namespace retrace
