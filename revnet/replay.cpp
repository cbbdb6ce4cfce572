#include <retrace/autograd/reads.h>
#include <retrace/core/fail.h>
#include <retrace/revnet/replay.h>

#include <algorithm>
#include <string>

namespace retrace {

namespace {

/// A parameter's or buffer's content, or a module's mode, at one moment.
struct Note {
  const Storage* storage;  // null for a mode
  std::uint64_t number;
  bool fixed;  // must not change between a forward and its replay
};

/// Lists the notes of a module, always in the same order. Without `paths` (the common case, once per forward)
/// no text is made.
class Notes final : public Members {
 public:
  explicit Notes(Module& root, std::vector<std::string>* paths = nullptr) : paths_(paths) { enter(root); }

  const std::vector<Note>& all() const { return notes_; }
  /// The numbers of all notes, or of the fixed ones.
  std::vector<std::uint64_t> numbers(bool fixed_only) const {
    std::vector<std::uint64_t> numbers;
    numbers.reserve(notes_.size());
    for (const Note& note : notes_)
      if (note.fixed || !fixed_only) numbers.push_back(note.number);
    return numbers;
  }

 private:
  void enter(Module& module) {
    const bool outer = std::exchange(training_, module.training());
    note("mode", Note{.storage = nullptr, .number = std::uint64_t{training_}, .fixed = true});
    module.members(*this);
    training_ = outer;
  }
  void note(std::string_view name, const Note& note) {
    notes_.push_back(note);
    if (paths_ != nullptr) paths_->push_back(path_ + std::string(name));
  }
  void on_parameter(std::string_view name, Parameter& parameter) override {
    const Storage& storage = parameter.value().storage();
    note(name, Note{.storage = &storage, .number = storage.content(), .fixed = true});
  }
  void on_buffer(std::string_view name, Tensor& buffer) override {
    const Storage& storage = buffer.storage();
    note(name, Note{.storage = &storage, .number = storage.content(), .fixed = !training_});
  }
  void on_module(std::string_view name, Module& child, const Replace&) override {
    const std::string outer = path_;
    if (paths_ != nullptr && !name.empty()) path_ += std::string(name) + ".";
    enter(child);
    path_ = outer;
  }

  bool training_ = true;
  std::string path_;
  std::vector<std::string>* paths_;
  std::vector<Note> notes_;
};

/// The path of the first note that differs from `before`, which lists the fixed ones or all.
std::string first_difference(Module& module, const std::vector<std::uint64_t>& before, bool fixed_only) {
  std::vector<std::string> paths;
  const Notes now(module, &paths);
  std::size_t i = 0;
  for (std::size_t n = 0; n < now.all().size(); ++n) {
    if (fixed_only && !now.all()[n].fixed) continue;
    if (i == before.size() || now.all()[n].number != before[i]) return paths[n];
    ++i;
  }
  return "the list of parameters";
}

std::string path_of(Module& module, const Storage* storage) {
  std::vector<std::string> paths;
  const Notes notes(module, &paths);
  const auto found = std::find_if(notes.all().begin(), notes.all().end(),
                                  [&](const Note& note) { return note.storage == storage; });
  return found == notes.all().end() ? "a buffer"
                                    : paths[static_cast<std::size_t>(found - notes.all().begin())];
}

[[noreturn]] void fail_written_after_use(std::string_view op, Module& module, const Storage* storage) {
  fail<GradientError>(
      op,
      "forward must write a parameter or buffer before it reads it, so that a replay reads what "
      "forward read, but it wrote {} afterwards",
      path_of(module, storage));
}

}  // namespace

ReplayState::ReplayState(bool keep_decisions) : scope_(scope_snapshot()), autocast_(Autocast::dtype()) {
  if (keep_decisions) decisions_.emplace();
}

Tensors ReplayState::forward(std::string_view op, Module& module, const std::function<Tensors()>& run) {
  detail::ReadLog reads;
  Tensors y;
  {
    const detail::Guard log = draws_.record();
    std::optional<RecordDecisions> recording;
    if (decisions_) recording.emplace(*decisions_);
    y = run();
  }
  const Notes now(module);
  for (const Note& note : now.all()) {
    if (note.storage == nullptr || !reads.read_before_write(*note.storage)) continue;
    if (note.fixed) fail_written_after_use(op, module, note.storage);
    overwritten_.push_back(note.storage);
  }
  noted_ = now.numbers(/*fixed_only=*/true);
  noted_.shrink_to_fit();
  return y;
}

void ReplayState::check_unchanged(std::string_view op, Module& module) const {
  if (Notes(module).numbers(/*fixed_only=*/true) == noted_) return;
  fail<GradientError>(
      op, "parameters, buffers and train/eval mode must be in backward as forward left them, but {} changed",
      first_difference(module, noted_, /*fixed_only=*/true));
}

Tensors ReplayState::run_again(Module& module, const std::function<Tensors()>& run,
                               bool same_random_numbers) {
  ScopeSnapshot scope = scope_;
  if (!same_random_numbers) scope.state.random.seed = mix(scope.state.random.seed, 1);
  const Recomputing recomputing;
  const Reenter forward_scope(scope);
  const ModuleScope module_scope(module, "");
  const Autocast autocast(autocast_);
  std::optional<detail::Guard> draws;
  if (same_random_numbers) draws.emplace(draws_.verify());
  std::optional<ReplayDecisions> decisions;
  if (decisions_) decisions.emplace(*decisions_);
  return run();
}

Tensors ReplayState::replay(std::string_view op, Module& module, const std::function<Tensors()>& run,
                            bool same_random_numbers) {
  check_unchanged(op, module);
  const std::vector<std::uint64_t> before = Notes(module).numbers(/*fixed_only=*/false);
  const detail::ReadLog reads;
  Tensors result = run_again(module, run, same_random_numbers);
  if (Notes(module).numbers(/*fixed_only=*/false) != before)
    fail<GradientError>(
        op,
        "a replay must leave parameters and buffers as it finds them, but it wrote {}; forward "
        "must write only where Recomputing::active() is false",
        first_difference(module, before, /*fixed_only=*/false));
  for (const Storage* storage : overwritten_)
    if (reads.has_read(storage)) fail_written_after_use(op, module, storage);
  return result;
}

std::vector<SavedTensor> ReplayState::decisions() const {
  return decisions_ ? decisions_->saved() : std::vector<SavedTensor>();
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
  if (y.size() != dy.size())
    fail<GradientError>("replay", "a module must have as many outputs as in forward, got {} for {}", y.size(),
                        dy.size());
  for (std::size_t i = 0; i < y.size(); ++i) {
    if (!dy[i].defined() || y[i].place().tape == 0) continue;
    roots.push_back(std::move(y[i]));
    gradients.push_back(dy[i]);
  }
  tape.backward(roots, std::move(gradients));  // without roots, too: a wrapper in f may have released x
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
