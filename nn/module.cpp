#include <retrace/core/fail.h>
#include <retrace/core/scope.h>
#include <retrace/nn/module.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>

namespace retrace {

namespace {

std::string join(const std::string& path, std::string_view name) {
  if (path.empty() || name.empty()) return path + std::string(name);
  return path + "." + std::string(name);
}

/// Walks a module and everything below it once, in the order of `members`.
class Walk final : public Members {
 public:
  std::vector<Named<Parameter*>> parameters;
  std::vector<Named<Tensor*>> buffers;
  std::vector<Named<Module*>> modules;

  explicit Walk(Module& root) { enter(root); }

 private:
  void enter(Module& module) {
    if (!seen_.insert(&module).second) return;
    modules.emplace_back(path_, &module);
    module.members(*this);
  }
  void on_parameter(std::string_view name, Parameter& parameter) override {
    if (seen_.insert(&parameter).second) parameters.emplace_back(join(path_, name), &parameter);
  }
  void on_buffer(std::string_view name, Tensor& buffer) override {
    if (seen_.insert(&buffer).second) buffers.emplace_back(join(path_, name), &buffer);
  }
  void on_module(std::string_view name, Module& child, const Replace&) override {
    const std::string outer = std::exchange(path_, join(path_, name));
    enter(child);
    path_ = outer;
  }

  std::string path_;
  std::set<const void*> seen_;
};

/// Gives a fresh copy, whose buffers and shared children are still the original's, its own.
class Detach final : public Members {
 public:
  using Copy = std::function<std::shared_ptr<Module>(const Module&)>;
  explicit Detach(Copy copy) : copy_(std::move(copy)) {}

 private:
  void on_parameter(std::string_view, Parameter&) override {}
  void on_buffer(std::string_view, Tensor& buffer) override { buffer = buffer.clone(Tag::buffer); }
  void on_module(std::string_view, Module& child, const Replace& replace) override {
    if (replace == nullptr) {
      child.members(*this);
      return;
    }
    std::shared_ptr<Module>& twin = twins_[&child];
    if (twin == nullptr) {
      twin = copy_(child);
      twin->members(*this);
    }
    replace(twin);
  }

  Copy copy_;
  std::map<const Module*, std::shared_ptr<Module>> twins_;
};

/// Finds the name that a module gives to another one in `members`, also through children named "".
class NameOf final : public Members {
 public:
  NameOf(Module& parent, const Module& child) : child_(child) { parent.members(*this); }
  const std::string& name() const { return name_; }

 private:
  void on_parameter(std::string_view, Parameter&) override {}
  void on_buffer(std::string_view, Tensor&) override {}
  void on_module(std::string_view name, Module& child, const Replace&) override {
    if (found_) return;
    if (&child == &child_) {
      found_ = true;
      name_ = name;
    } else if (name.empty()) {
      child.members(*this);
    }
  }

  const Module& child_;
  bool found_ = false;
  std::string name_;
};

thread_local detail::GuardStack<Module*> running_modules;

}  // namespace

ModuleScope::ModuleScope(Module& module) {
  Module* const* running = running_modules.top();
  if (running != nullptr && *running == &module) return;
  if (running != nullptr) {
    const NameOf found(**running, module);
    if (!found.name().empty()) scope_.emplace(found.name());
  }
  running_.emplace(running_modules.push(&module));
}

ModuleScope::ModuleScope(Module& module, std::string_view name) {
  if (!name.empty()) scope_.emplace(name);
  running_.emplace(running_modules.push(&module));
}

Var Module::operator()(const Var& x) {
  const ModuleScope scope(*this);
  return forward(x);
}

Vars Module::operator()(const Vars& xs) {
  const ModuleScope scope(*this);
  return forward_all(xs);
}

Var Module::onto(Var& residual, Sign sign, const Var& x) {
  const ModuleScope scope(*this);
  return forward_onto(residual, sign, x);
}

Var Module::forward_onto(Var&, Sign, const Var& x) { return forward(x); }

Var Module::forward(const Var&) {
  fail<NotImplementedError>("module",
                            "a module that overrides forward_all is called with a list, as module(Vars{{x1, "
                            "x2}}); one that takes one tensor must override forward");
}

Vars Module::forward_all(const Vars& xs) {
  if (xs.size() != 1) fail<ArgumentError>("module", "this module takes 1 input, got {}", xs.size());
  return {forward(xs.front())};
}

std::vector<Named<Parameter*>> Module::named_parameters() { return Walk(*this).parameters; }

std::vector<Named<Tensor*>> Module::named_buffers() { return Walk(*this).buffers; }

std::vector<Named<Module*>> Module::named_modules() { return Walk(*this).modules; }

std::vector<Parameter*> Module::parameters() {
  std::vector<Parameter*> result;
  for (const auto& [name, parameter] : named_parameters()) result.push_back(parameter);
  return result;
}

std::int64_t Module::parameter_count() {
  std::int64_t count = 0;
  for (const Parameter* parameter : parameters()) count += parameter->value().numel();
  return count;
}

void Module::train(bool training) {
  for (const auto& [name, module] : named_modules()) module->training_ = training;
}

void Module::zero_grad() {
  for (Parameter* parameter : parameters()) parameter->zero_grad();
}

namespace {

/// Parameters become parameter.to(target), and so do floating-point buffers.
template <class Target>
void convert(Module& module, Target target) {
  for (Parameter* parameter : module.parameters()) {
    parameter->value() = parameter->value().to(target, Tag::parameter);
    parameter->zero_grad();
  }
  for (const auto& [name, buffer] : module.named_buffers())
    if (is_float(buffer->dtype())) *buffer = buffer->to(target, Tag::buffer);
}

}  // namespace

void Module::to(DType dtype) {
  if (!is_float(dtype)) fail<DTypeError>("module", "dtype must be f32, f64, bf16 or f16, got {}", dtype);
  convert(*this, dtype);
}

void Module::to(Device device) { convert(*this, device); }

std::shared_ptr<Module> Module::clone() const {
  std::shared_ptr<Module> twin = copy();
  Detach detach([](const Module& module) { return module.copy(); });
  twin->members(detach);
  return twin;
}

}  // namespace retrace
