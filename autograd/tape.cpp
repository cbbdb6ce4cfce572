#include <retrace/autograd/autocast.h>
#include <retrace/autograd/record.h>
#include <retrace/autograd/tape.h>
#include <retrace/core/fail.h>
#include <retrace/core/kernels.h>
#include <retrace/core/not_null.h>
#include <retrace/core/random.h>

#include <atomic>
#include <ostream>
#include <set>

namespace retrace {

namespace {

thread_local detail::GuardStack<Tape*> tapes;  // null: nothing is recorded
thread_local detail::GuardStack<bool> replays;

/// The tape made last, recording or not.
Tape* innermost_tape() {
  Tape* innermost = nullptr;
  tapes.find([&](Tape* tape) {
    innermost = tape;
    return tape != nullptr;
  });
  return innermost;
}

std::uint64_t next_tape_id() {
  static std::atomic<std::uint64_t> last = 0;
  return ++last;
}

/// Sets a flag while it exists.
class Busy {
 public:
  explicit Busy(bool& flag) : flag_(flag), before_(std::exchange(flag, true)) {}
  ~Busy() { flag_ = before_; }
  Busy(const Busy&) = delete;
  Busy& operator=(const Busy&) = delete;

 private:
  bool& flag_;
  bool before_;
};

/// Bytes of what is saved and there, each storage once.
std::int64_t distinct_bytes(const std::vector<SavedTensor>& saved) {
  std::set<const Storage*> seen;
  std::int64_t bytes = 0;
  for (const SavedTensor& s : saved) {
    if (!s.tensor.defined() || s.tensor.storage().released()) continue;
    if (seen.insert(&s.tensor.storage()).second) bytes += s.tensor.storage().bytes();
  }
  return bytes;
}

}  // namespace

std::int64_t TapeHook::saved_bytes() const { return distinct_bytes(saved()); }

Tape::Tape() : Tape(innermost_tape()) {}

Tape::Tape(const Tape* outer) : id_(next_tape_id()), guard_(tapes.push(this)) {
  if (outer != nullptr) {
    depth_ = outer->depth_ + 1;
    observer_ = outer->observer_;
  } else if (!Recomputing::active()) {
    advance_generator();
  }
}

Tape::~Tape() { abandon("their tape ended without a backward"); }

Tape* Tape::current() {
  Tape* const* innermost = tapes.top();
  return innermost != nullptr ? *innermost : nullptr;
}

void Tape::observe(TapeObserver* observer) {
  observer_ = observer != nullptr ? observer->self_ : std::weak_ptr<TapeObserver>();
}

Var Tape::watch(Tensor x) {
  if (!x.defined()) fail<ArgumentError>("watch", "the tensor must be defined, got an undefined one");
  if (!is_float(x.dtype())) fail_not_any_float("watch", x.dtype());
  const Place place = add_value(x, true);
  return Var(std::move(x), place);
}

Place Tape::add_value(const Tensor& x, bool watched) {
  values_.push_back(
      {.shape = x.shape(), .dtype = x.dtype(), .gradient = {}, .watched = watched, .fate = Fate::usable});
  return {.tape = id_, .value = static_cast<std::int64_t>(values_.size()) - 1};
}

void Tape::check_usable(std::string_view op, const Var& x) const {
  if (x.place().tape != id_)
    fail<GradientError>(
        op, "a variable must be on the current tape, got one of another tape; pass its value() instead");
  const Fate fate = values_[static_cast<std::size_t>(x.place().value)].fate;
  if (fate == Fate::failed)
    fail<GradientError>(op, "a variable must be of a tape whose backward did not fail, but this one's did");
  if (fate == Fate::eaten)
    fail<GradientError>(op,
                        "a variable must still be on the tape, but a backward has eaten it; keep the tape "
                        "with {{.retain = true}}");
}

Vars Tape::attach(const Vars& inputs, Tensors outputs, std::unique_ptr<TapeHook> hook) {
  Node node{.scope = current_scope(),
            .inputs = {},
            .first_output = static_cast<std::int64_t>(values_.size()),
            .output_count = outputs.size(),
            .hook = not_null("attach", "the hook", std::move(hook))};
  node.inputs.reserve(inputs.size());
  for (const Var& x : inputs) {
    if (x.place().tape != 0) check_usable(node.hook->name(), x);
    node.inputs.push_back({.parameter = x.parameter(), .value = x.place().value});
  }
  Vars results;
  for (Tensor& y : outputs) {
    const Place place = add_value(y, false);
    results.emplace_back(std::move(y), place);
  }
  nodes_.push_back(std::move(node));
  report(TapeEvent::Kind::recorded, &nodes_.back());
  return results;
}

void Tape::backward(const Var& y, BackwardOptions options) {
  if (!y.defined()) fail<ArgumentError>("backward", "y must be defined, got an undefined variable");
  if (y.value().numel() != 1)
    fail<ShapeError>("backward", "without dy, y must have one element, got {}", y.shape());
  begin_backward();
  const OpName op("backward");
  walk(Vars{y}, {Tensor::full(y.shape(), 1, y.dtype(), Tag::gradient, y.value().device())}, options.retain);
}

void Tape::backward(const Var& y, const Tensor& dy, BackwardOptions options) {
  backward(Vars{y}, Tensors{dy}, options);
}

void Tape::backward(const Vars& roots, Tensors dys, BackwardOptions options) {
  begin_backward();
  walk(roots, std::move(dys), options.retain);
}

void Tape::begin_backward() {
  if (busy_)
    fail<GradientError>("backward", "a tape must not run backward inside of its own backward or observer");
  report(TapeEvent::Kind::backward);
}

void Tape::walk(const Vars& roots, Tensors dys, bool retain) {
  check_roots(roots, dys);
  const Busy busy(busy_);
  detail::BackwardSession session;
  const detail::Guard innermost = tapes.push(this);  // local tapes nest in this one, on whatever thread
  const NoTape no_tape;
  const Autocast off(std::nullopt);
  std::size_t n = nodes_.size();
  bool started = false;
  try {
    for (std::size_t r = 0; r < roots.size(); ++r)
      accumulate("backward", roots[r].place().value, std::move(dys[r]));
    started = true;
    for (; n > 0; --n) {
      run(nodes_[n - 1], retain);
      if (!retain) nodes_.pop_back();
    }
  } catch (...) {
    const std::string why = started ? failure_in(nodes_[n - 1]) : "backward failed at its roots";
    session.fail(why);
    abandon(why);
    fail_values();
    throw;
  }
  forget_gradients(!retain);
  report(TapeEvent::Kind::finished);
}

std::string Tape::failure_in(const Node& node) {
  const std::string path = path_of(node.scope.node);
  return fmt::format("backward failed in {}{}{}", node.hook->name(), path.empty() ? "" : " of ", path);
}

void Tape::check_roots(const Vars& roots, const Tensors& dys) const {
  if (roots.size() != dys.size())
    fail<ArgumentError>("backward", "there must be one dy for each root, got {} for {}", dys.size(),
                        roots.size());
  for (std::size_t r = 0; r < roots.size(); ++r) {
    if (roots[r].place().tape == 0)
      fail<GradientError>("backward",
                          "y must depend on a parameter or a watched tensor of this tape, got a constant");
    check_usable("backward", roots[r]);
    if (!dys[r].defined()) fail<ArgumentError>("backward", "dy must be defined, got an undefined tensor");
    if (!(dys[r].shape() == roots[r].shape()))
      fail<ShapeError>("backward", "dy must have y's shape {}, got {}", roots[r].shape(), dys[r].shape());
    if (dys[r].dtype() != roots[r].dtype())
      fail<DTypeError>("backward", "dy must have y's element type {}, got {}", roots[r].dtype(),
                       dys[r].dtype());
    if (!(dys[r].device() == roots[r].value().device()))
      fail<DeviceError>("backward", "dy must be on y's device {}, got {}", roots[r].value().device(),
                        dys[r].device());
  }
}

void Tape::run(Node& node, bool retain) {
  Tensors dy;
  bool any = false;
  for (std::size_t i = 0; i < node.output_count; ++i) {
    dy.push_back(
        std::exchange(value_at(node.first_output + static_cast<std::int64_t>(i)).gradient, Tensor()));
    any = any || dy.back().defined();
  }
  if (!any && !node.hook->must_run()) return;

  std::vector<bool> wanted;
  Tensors arrived;
  for (const Input& input : node.inputs) {
    wanted.push_back(input.parameter != nullptr || input.value >= 0);
    arrived.push_back(input.value >= 0 ? std::exchange(value_at(input.value).gradient, Tensor()) : Tensor());
  }
  const Reenter scope(node.scope);
  const OpName op(node.hook->name());
  report(TapeEvent::Kind::running, &node);
  Tensors dx = node.hook->backward(std::move(dy),
                                   {.wants = Wants(std::move(wanted)), .retain = retain, .arrived = arrived});
  for (std::size_t i = 0; i < arrived.size(); ++i)
    if (arrived[i].defined()) value_at(node.inputs[i].value).gradient = std::move(arrived[i]);
  deliver(node, std::move(dx));
  report(TapeEvent::Kind::done, &node);
}

void Tape::deliver(const Node& node, Tensors dx) {
  if (dx.size() != node.inputs.size())
    fail<GradientError>(node.hook->name(),
                        "a derivative must return one gradient for each input, got {} for {}", dx.size(),
                        node.inputs.size());
  for (std::size_t i = 0; i < dx.size(); ++i) {
    if (!dx[i].defined()) continue;
    const Input& input = node.inputs[i];
    if (input.parameter != nullptr)
      detail::ParameterState::accumulate_grad(input.parameter, std::move(dx[i]));
    else if (input.value >= 0)
      accumulate(node.hook->name(), input.value, std::move(dx[i]));
  }
}

void Tape::accumulate(std::string_view from, std::int64_t value, Tensor d) {
  Value& target = value_at(value);
  if (!(target.shape == d.shape()))
    fail<GradientError>(from, "a gradient must have its value's shape {}, got {}", target.shape, d.shape());
  if (target.dtype != d.dtype())
    fail<GradientError>(from, "a gradient must have its value's element type {}, got {}", target.dtype,
                        d.dtype());
  if (!target.gradient.defined()) {
    target.gradient = std::move(d);
    return;
  }
  Tensor sum = target.gradient.unique() ? target.gradient : like(d, Tag::gradient);
  kernel::add(target.gradient, d, sum);
  target.gradient = std::move(sum);
}

void Tape::forget_gradients(bool eaten) {
  for (Value& value : values_) {
    if (value.watched) continue;
    value.gradient = Tensor();
    if (eaten && value.fate == Fate::usable) value.fate = Fate::eaten;
  }
}

/// After a backward that failed, no value of this tape has a gradient that is whole.
void Tape::fail_values() {
  for (Value& value : values_) {
    value.gradient = Tensor();
    value.fate = Fate::failed;
  }
}

void Tape::abandon(const std::string& why) {
  for (Node& node : nodes_) node.hook->abandon(why);
  nodes_.clear();
  forget_gradients(true);
}

const Tape::Value& Tape::watched(const Var& x) const {
  check_usable("grad", x);
  const Value& value = values_[static_cast<std::size_t>(x.place().value)];
  if (!value.watched)
    fail<GradientError>("grad", "the variable must be a watched one, got the result of an operation");
  return value;
}

Tensor Tape::grad(const Var& x) const { return watched(x).gradient; }

Tensor Tape::take_grad(const Var& x) {
  static_cast<void>(watched(x));
  return std::exchange(value_at(x.place().value).gradient, Tensor());
}

std::vector<SavedTensor> Tape::saved() const {
  std::vector<SavedTensor> all;
  for (const Node& node : nodes_)
    for (SavedTensor& s : node.hook->saved()) all.push_back(std::move(s));
  return all;
}

std::int64_t Tape::saved_bytes() const { return distinct_bytes(saved()); }

void Tape::print(std::ostream& out) const {
  out << fmt::format("{:>4}  {:<26}  {:<28}  {:>12}  {}\n", "node", "operation", "where", "bytes", "saved");
  for (std::size_t n = 0; n < nodes_.size(); ++n) {
    const Node& node = nodes_[n];
    std::vector<std::string> shapes;
    for (const SavedTensor& s : node.hook->saved())
      if (s.tensor.defined())
        shapes.push_back(fmt::format("{}{}{}", s.tensor.dtype(), s.tensor.shape(),
                                     s.tensor.storage().released() ? " (released)" : ""));
    const std::string path = path_of(node.scope.node);
    out << fmt::format("{:>4}  {:<26}  {:<28}  {:>12}  {}\n", n, node.hook->name(), path.empty() ? "-" : path,
                       node.hook->saved_bytes(), fmt::join(shapes, ", "));
  }
  out << fmt::format("{} nodes keep {} bytes, each storage counted once\n", nodes_.size(), saved_bytes());
}

void Tape::report(TapeEvent::Kind kind, const Node* node) {
  const std::shared_ptr<TapeObserver> observer = observer_.lock();
  if (observer == nullptr) return;
  const Busy busy(busy_);
  observer->on({.kind = kind,
                .op = node == nullptr ? "backward" : node->hook->name(),
                .scope = node == nullptr ? nullptr : node->scope.node,
                .hook = node == nullptr ? nullptr : node->hook.get(),
                .depth = depth_,
                .live_bytes = ledger().live(kStepTags)});
}

NoTape::NoTape() : guard_(tapes.push(nullptr)) {}

Recomputing::Recomputing() : guard_(replays.push(true)) {}

bool Recomputing::active() { return replays.top() != nullptr; }

bool needs_gradient(const Var& x) { return Tape::current() != nullptr && !x.constant(); }

std::vector<SavedTensor> detail::note_contents(std::string_view op, Tensors tensors) {
  std::vector<SavedTensor> saved;
  saved.reserve(tensors.size());
  for (Tensor& tensor : tensors) {
    const std::uint64_t content = tensor.defined() ? tensor.storage().content() : 0;
    if (tensor.defined() && tensor.storage().tag() == Tag::saved) tensor.storage().set_op(op);
    saved.push_back({.tensor = std::move(tensor), .content = content});
  }
  return saved;
}

void detail::check_contents(std::string_view op, const std::vector<SavedTensor>& saved) {
  for (const SavedTensor& s : saved) {
    if (!s.tensor.defined()) continue;
    static_cast<void>(std::as_const(s.tensor.storage()).data());  // throws when released
    if (s.tensor.storage().content() != s.content)
      fail<GradientError>(
          op, "what was saved, {} {}, must be unchanged when backward reaches it, but {} wrote it since",
          s.tensor.dtype(), s.tensor.shape(),
          s.tensor.storage().writer().empty() ? "the program" : s.tensor.storage().writer());
  }
}

}  // namespace retrace
