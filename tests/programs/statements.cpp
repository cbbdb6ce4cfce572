#include "statements.h"

#include <retrace/revnet/checkpoint.h>
#include <retrace/revnet/invertible.h>

#include <algorithm>

#include "ops.h"

namespace retrace::fuzz {

namespace {

using Modules = std::vector<std::shared_ptr<Module>>;

}  // namespace

bool writes_parameters(const Program& program) {
  return std::any_of(program.modules.begin(), program.modules.end(),
                     [](const ModuleSpec& spec) { return spec.kind == "ActNorm" || spec.kind == "MaxNorm"; });
}

bool is_input(const Statement& statement) {
  return statement.kind == "watch" || statement.kind == "constant" || statement.kind == "parameter" ||
         statement.kind == "frozen";
}

Tensor make_input(const Program& program, std::size_t statement) {
  std::vector<std::int64_t> extents(program.statements[statement].numbers.begin(),
                                    program.statements[statement].numbers.end());
  Tensor x(Shape(extents), DType::f64, Tag::data);
  Random random(combine(program.seed, 1000 + statement));
  for (double& value : x.mutable_values<double>()) {
    value = random.uniform(-1, 1);
    if (program.zeros && random.chance(0.5)) value = 0;
  }
  return x;
}

Vars run_statement(const Statement& statement, Vars inputs, const Modules& modules, const Variant& variant) {
  if (statement.module < 0) return op_rows().at(statement.kind).apply(statement, std::move(inputs));
  const std::shared_ptr<Module>& module = modules[static_cast<std::size_t>(statement.module)];
  if (statement.kind == "lookup") {
    const auto vectors = static_cast<std::int64_t>(statement.numbers[1]);
    const Var indices = labels(statement.numbers[0], {2, 3}, vectors);
    const bool recomputed = statement.numbers[2] != 0 && !variant.stored;
    return {recomputed ? checkpoint(module, indices) : (*module)(indices)};
  }
  if (statement.kind == "inverse") {
    auto& invertible = dynamic_cast<InvertibleModule&>(*module);
    return inputs.size() == 1 ? Vars{invertible.inverse(inputs[0])} : invertible.inverse_all(inputs);
  }
  if (statement.kind == "checkpoint") {
    if (!variant.stored) return checkpoint(module, inputs);
    const ModuleScope scope(*module);
    return module->forward_all(inputs);
  }
  return inputs.size() == 1 ? Vars{(*module)(inputs[0])} : (*module)(inputs);
}

bool has_true_derivative(const Program& program) {
  if (writes_parameters(program) || program.zeros) return false;
  const std::vector<bool> used = used_modules(program);
  for (std::size_t m = 0; m < used.size(); ++m) {
    const ModuleSpec& spec = program.modules[m];
    if (used[m] && (spec.zero || (spec.kind == "Embedding" && spec.numbers[2] >= 0))) return false;
  }
  return std::none_of(program.statements.begin(), program.statements.end(), [](const Statement& statement) {
    return !statement.removed && ((statement.region == Region::inner && statement.module >= 0) ||
                                  (statement.kind == "embedding" && statement.numbers[0] >= 0));
  });
}

}  // namespace retrace::fuzz
