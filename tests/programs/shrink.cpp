#include "shrink.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "modules.h"

namespace retrace::fuzz {

namespace {

/// Without statement s and what depends on it.
Program without(Program program, std::size_t s) {
  std::vector<bool> gone(program.statements.size());
  gone[s] = true;
  const auto is_gone = [&](const Value& value) { return gone[static_cast<std::size_t>(value.statement)]; };
  for (std::size_t i = 0; i < program.statements.size(); ++i) {
    Statement& statement = program.statements[i];
    if (statement.removed || std::any_of(statement.inputs.begin(), statement.inputs.end(), is_gone))
      gone[i] = true;
    statement.removed = gone[i];
  }
  for (auto& roots : program.passes) std::erase_if(roots, is_gone);
  std::erase_if(program.passes, [](const auto& roots) { return roots.empty(); });
  return program;
}

/// Collects smaller programs, the smallest first.
class Candidates {
 public:
  explicit Candidates(const Program& program) : program_(program) {
    if (program.passes.size() > 1)
      for (std::size_t p = 0; p < program.passes.size(); ++p)
        add([&](Program& q) { q.passes.erase(q.passes.begin() + static_cast<std::ptrdiff_t>(p)); });
    for (std::size_t s = program.statements.size(); s-- > 0;)
      if (!program.statements[s].removed) all.push_back(without(program, s));
    simpler_options();
    simpler_statements();
    simpler_modules();
  }

  std::vector<Program> all{};

 private:
  template <class Change>
  void add(const Change& change) {
    Program copy = program_;
    change(copy);
    all.push_back(std::move(copy));
  }

  void simpler_options() {
    if (program_.steps > 1)
      add([](Program& q) { q.steps = 1, q.first_step_unused = q.first_step_fails = false; });
    for (bool Program::*option :
         {&Program::reseed_before_backward, &Program::other_thread, &Program::drop_values,
          &Program::drop_modules, &Program::autocast, &Program::first_step_unused, &Program::first_step_fails,
          &Program::guards_replaced, &Program::zeros})
      if (program_.*option) add([option](Program& q) { q.*option = false; });
    if (program_.optimizer > 0) add([](Program& q) { q.optimizer = 0; });
    for (std::size_t p = 0; p < program_.passes.size(); ++p)
      if (program_.passes[p].size() > 1)
        for (std::size_t r = 0; r < program_.passes[p].size(); ++r)
          add([&](Program& q) { q.passes[p].erase(q.passes[p].begin() + static_cast<std::ptrdiff_t>(r)); });
  }

  void simpler_statements() {
    for (std::size_t s = 0; s < program_.statements.size(); ++s) {
      const Statement& statement = program_.statements[s];
      if (statement.removed) continue;
      if (statement.region != Region::tape) add([s](Program& q) { q.statements[s].region = Region::tape; });
      // past a statement: those behind it read what it read
      if (!statement.inputs.empty())
        add([&](Program& q) {
          for (Statement& other : q.statements)
            for (Value& input : other.inputs)
              if (input == Value{static_cast<int>(s), 0}) input = statement.inputs.front();
          for (auto& roots : q.passes)
            for (Value& root : roots)
              if (root == Value{static_cast<int>(s), 0}) root = statement.inputs.front();
          q = without(q, s);
        });
      if (statement.module >= 0)
        for (const int child : program_.modules[static_cast<std::size_t>(statement.module)].children)
          if (child >= 0) add([&](Program& q) { q.statements[s].module = child; });
    }
  }

  void simpler_modules() {
    const std::vector<bool> used = used_modules(program_);
    for (std::size_t m = program_.modules.size(); m-- > 0;) {
      if (!used[m]) continue;
      const ModuleSpec& spec = program_.modules[m];
      if (spec.frozen) add([m](Program& q) { q.modules[m].frozen = false; });
      if (spec.zero) add([m](Program& q) { q.modules[m].zero = false; });
      if (spec.evaluation) add([m](Program& q) { q.modules[m].evaluation = false; });
      if (spec.kind != "Tanh") add([m](Program& q) { q.modules[m] = {.kind = "Tanh"}; });
      simpler_children(m, spec);
      for (std::size_t n = 0; spec.kind.ends_with("Coupling") && n < 2; ++n)
        if (spec.numbers[n] >= 0) add([m, n](Program& q) { q.modules[m].numbers[n] = -1; });
      for (const std::size_t n : {0U, 1U, 4U})  // what is kept
        if (spec.kind == "InvertibleModuleWrapper" && spec.numbers[n] != 0)
          add([m, n](Program& q) { q.modules[m].numbers[n] = 0; });
    }
  }

  void simpler_children(std::size_t m, const ModuleSpec& spec) {
    for (std::size_t c = 0; c < spec.children.size(); ++c) {
      if (spec.children.size() > 1 &&
          spec.kind.starts_with("Sequential") + spec.kind.starts_with("Invertible") > 0)
        add([m, c](Program& q) {
          q.modules[m].children.erase(q.modules[m].children.begin() + static_cast<std::ptrdiff_t>(c));
        });
      if (spec.children[c] < 0) continue;
      for (const int grandchild : program_.modules[static_cast<std::size_t>(spec.children[c])].children)
        if (grandchild >= 0) add([m, c, grandchild](Program& q) { q.modules[m].children[c] = grandchild; });
    }
  }

  const Program& program_;
};

}  // namespace

Program shrink(Program program, const std::function<std::string(const Program&)>& kind_of, int budget) {
  const std::string kind = kind_of(program);
  for (bool smaller = true; smaller;) {
    smaller = false;
    for (Program& candidate : Candidates(program).all) {
      if (--budget < 0) return program;
      if (kind_of(candidate) != kind) continue;
      program = std::move(candidate);
      smaller = true;
      break;
    }
  }
  return program;
}

}  // namespace retrace::fuzz
