#include "modules.h"

#include <retrace/nn/activation.h>
#include <retrace/nn/batch_norm.h>
#include <retrace/nn/conv2d.h>
#include <retrace/nn/dropout.h>
#include <retrace/nn/embedding.h>
#include <retrace/nn/flatten.h>
#include <retrace/nn/group_norm.h>
#include <retrace/nn/linear.h>
#include <retrace/nn/pool.h>
#include <retrace/nn/sequential.h>
#include <retrace/revnet/adapters.h>
#include <retrace/revnet/combinators.h>
#include <retrace/revnet/networks.h>
#include <retrace/revnet/residual.h>
#include <retrace/revnet/reversible_block.h>
#include <retrace/revnet/stage.h>

#include <functional>
#include <limits>
#include <map>
#include <set>
#include <stdexcept>

#include "jitter.h"
#include "own_modules.h"

namespace retrace::fuzz {

namespace {

/// The arguments of one module.
struct Arguments {
  const std::vector<double>& numbers;
  const Children& children;
  const Variant& variant;
  std::uint64_t seed;

  std::int64_t integer(std::size_t i) const { return static_cast<std::int64_t>(numbers[i]); }
  bool flag(std::size_t i) const { return numbers[i] != 0; }
  InvertiblePtr invertible(std::size_t i) const {
    return std::dynamic_pointer_cast<InvertibleModule>(children[i]);
  }
  std::vector<InvertiblePtr> invertibles(std::size_t begin = 0) const {
    std::vector<InvertiblePtr> result;
    for (std::size_t i = begin; i < children.size(); ++i) result.push_back(invertible(i));
    return result;
  }
  /// -1, 0 or 1.
  int implementation(std::size_t i) const { return variant.stored ? -1 : static_cast<int>(numbers[i]); }
  JitterSource jitter() const { return {variant.jitter, combine(variant.jitter_seed, seed)}; }
  /// `module`, whose activations the program rebuilds.
  ModulePtr rebuilt(ModulePtr module, bool keep_masks = false) const {
    if (!variant.stored || variant.jitter == 0) return module;
    return std::make_shared<Jitter>(std::move(module), keep_masks, jitter());
  }
  /// `module`, with noise in what it rebuilds.
  ModulePtr rebuilding(ModulePtr module) const {
    const auto invertible = std::dynamic_pointer_cast<InvertibleModule>(module);
    if (variant.stored || variant.jitter == 0 || invertible == nullptr) return module;
    return std::make_shared<JitteredRebuild>(invertible, jitter());
  }
};

CouplingOptions coupling_options(const Arguments& a) {
  return {.implementation_fwd = a.implementation(0),
          .implementation_bwd = a.implementation(1),
          .split_dim = static_cast<int>(a.integer(2))};
}

ModulePtr rebuilt_coupling(const Arguments& a, ModulePtr coupling) {
  return a.numbers[0] == 1 || a.numbers[1] == 1 ? a.rebuilt(std::move(coupling)) : coupling;
}

AffineAdapter adapter_of(std::int64_t which) {
  if (which == 1) return adapter<AffineAdapterNaive>();
  if (which == 2) return adapter<AffineAdapterSigmoid>();
  return nullptr;
}

ModulePtr make_affine(const Arguments& a) {
  auto coupling = std::make_shared<AffineCoupling>(a.children[0], a.children[1], adapter_of(a.integer(3)),
                                                   coupling_options(a));
  return rebuilt_coupling(a, coupling);
}

ModulePtr make_wrapper(const Arguments& a) {
  const WrapperOptions options{.keep_input = a.flag(0),
                               .keep_input_inverse = a.flag(1),
                               .num_bwd_passes = static_cast<int>(a.integer(2)),
                               .disable = a.variant.stored,
                               .preserve_rng_state = a.flag(3),
                               .keep_masks = a.flag(4)};
  // Where the wrapper keeps its input it keeps no masks, and what fn itself rebuilds decides anew.
  const bool masks = options.keep_masks && !options.keep_input && !options.keep_input_inverse;
  return a.rebuilt(std::make_shared<InvertibleModuleWrapper>(a.invertible(0), options), masks);
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
ModulePtr make_reversible_block(const Arguments& a) {
  auto block =
      std::make_shared<ReversibleBlock>(a.children[0], a.children[1],
                                        ReversibleBlockOptions{.coupling = a.flag(4) ? "affine" : "additive",
                                                               .keep_input = a.flag(2),
                                                               .keep_input_inverse = a.flag(3),
                                                               .implementation_fwd = a.implementation(0),
                                                               .implementation_bwd = a.implementation(1),
                                                               .adapter = adapter_of(a.integer(4))});
  block->options().num_bwd_passes = static_cast<int>(a.integer(5));
  block->options().disable = a.variant.stored;
  return a.rebuilt(block);
}
#pragma GCC diagnostic pop

ModulePtr make_stage(const Arguments& a) {
  const auto ordinary = static_cast<std::ptrdiff_t>(a.integer(1));
  auto stage = std::make_shared<Stage>(Children(a.children.begin(), a.children.begin() + ordinary),
                                       a.invertibles(static_cast<std::size_t>(ordinary)));
  const auto policy = static_cast<Policy>(a.integer(0));
  stage->set_policy(a.variant.stored ? Policy::stored : policy);
  return is_reversible(policy) ? a.rebuilt(stage, policy == Policy::reversible_masks) : stage;
}

ModulePtr make_network(const Arguments& a) {
  const auto policy = static_cast<Policy>(a.integer(5));
  auto network = std::make_shared<ResidualNetwork>(NetworkOptions{.channels = {4, 4, 4},
                                                                  .blocks = {2, 1},
                                                                  .norm = {.eps = 0.1},
                                                                  .bottleneck = a.flag(2),
                                                                  .reversible = a.flag(3),
                                                                  .in_channels = a.integer(0),
                                                                  .classes = a.integer(1),
                                                                  .dropout = a.numbers[4]});
  network->set_policy(a.variant.stored ? Policy::stored : policy);
  return is_reversible(policy) ? a.rebuilt(network, policy == Policy::reversible_masks) : network;
}

ModulePtr make_embedding(const Arguments& a) {
  EmbeddingOptions options;
  if (a.numbers[2] >= 0) options.padding_idx = a.integer(2);
  return std::make_shared<Embedding>(a.integer(0), a.integer(1), options);
}

BranchOptions branch_options(const Arguments& a) {
  return {.stride = a.integer(2),
          .bottleneck = a.flag(3),
          .preactivation = a.flag(4),
          .dropout = a.numbers[5],
          .norm = {.eps = 0.1}};
}

ModulePtr make_sequential(const Arguments& a) {
  auto result = std::make_shared<Sequential>();
  for (const ModulePtr& child : a.children) result->append(child);
  return result;
}

Shape shape_of(const std::vector<double>& numbers) {
  std::vector<std::int64_t> extents;
  for (const double number : numbers) extents.push_back(static_cast<std::int64_t>(number));
  return Shape(extents);
}

Conv2dLayerOptions conv_options(const Arguments& a) {
  return {.kernel = a.integer(2),
          .stride = a.integer(3),
          .padding = a.integer(4),
          .groups = a.integer(5),
          .bias = a.flag(6)};
}

Pool2dOptions pool_options(const Arguments& a) {
  return {.kernel = a.integer(0), .stride = a.integer(1), .padding = a.integer(2)};
}

using Make = std::function<ModulePtr(const Arguments&)>;

template <class M>
ModulePtr plain(const Arguments&) {
  return std::make_shared<M>();
}
template <class M>
ModulePtr container(const Arguments& a) {
  return std::make_shared<M>(a.children);
}

const std::map<std::string, Make>& rows() {
  static const std::map<std::string, Make> table = {
      {"Conv2d",
       [](auto& a) { return std::make_shared<Conv2d>(a.integer(0), a.integer(1), conv_options(a)); }},
      {"Linear",
       [](auto& a) {
         return std::make_shared<Linear>(a.integer(0), a.integer(1), LinearOptions{.bias = a.flag(2)});
       }},
      {"BatchNorm2d",
       [](auto& a) {
         return std::make_shared<BatchNorm2d>(a.integer(0), BatchNorm2dOptions{.eps = a.numbers[1]});
       }},
      {"GroupNorm",
       [](auto& a) {
         return std::make_shared<GroupNorm>(a.integer(0), a.integer(1),
                                            GroupNormOptions{.eps = 0.01, .affine = a.flag(2)});
       }},
      {"LayerNorm",
       [](auto& a) {
         return std::make_shared<LayerNorm>(shape_of(a.numbers), LayerNormOptions{.eps = 0.01});
       }},
      {"ReLU", plain<ReLU>},
      {"LeakyReLU", [](auto& a) { return std::make_shared<LeakyReLU>(a.numbers[0]); }},
      {"Tanh", plain<Tanh>},
      {"SiLU", plain<SiLU>},
      {"GELU",
       [](auto& a) {
         return std::make_shared<GELU>(
             GeluOptions{.approximate = a.flag(0) ? GeluApproximation::tanh : GeluApproximation::none});
       }},
      {"Sigmoid", plain<Sigmoid>},
      {"Dropout", [](auto& a) { return std::make_shared<Dropout>(a.numbers[0]); }},
      {"MaxPool2d", [](auto& a) { return std::make_shared<MaxPool2d>(pool_options(a)); }},
      {"AvgPool2d", [](auto& a) { return std::make_shared<AvgPool2d>(pool_options(a)); }},
      {"AdaptiveAvgPool2d",
       [](auto& a) { return std::make_shared<AdaptiveAvgPool2d>(Size2d(a.integer(0), a.integer(1))); }},
      {"Flatten", [](auto& a) { return std::make_shared<Flatten>(static_cast<int>(a.integer(0))); }},
      {"Sequential", make_sequential},
      {"ResidualBranch",
       [](auto& a) {
         return std::make_shared<ResidualBranch>(a.integer(0), a.integer(1), branch_options(a));
       }},
      {"ResidualBlock",
       [](auto& a) {
         return std::make_shared<ResidualBlock>(a.integer(0), a.integer(1), branch_options(a));
       }},
      {"Stage", make_stage},
      {"ResidualNetwork", make_network},
      {"Embedding", make_embedding},
      {"AdditiveCoupling",
       [](auto& a) {
         return rebuilt_coupling(
             a, std::make_shared<AdditiveCoupling>(a.children[0], a.children[1], coupling_options(a)));
       }},
      {"AffineCoupling", make_affine},
      {"InvertibleSequence", [](auto& a) { return std::make_shared<InvertibleSequence>(a.invertibles()); }},
      {"Inverse", [](auto& a) { return std::make_shared<Inverse>(a.invertible(0)); }},
      {"OnChannels",
       [](auto& a) {
         return std::make_shared<OnChannels>(a.invertible(0), a.integer(0), a.integer(1),
                                             static_cast<int>(a.integer(2)));
       }},
      {"Parallel", [](auto& a) { return std::make_shared<Parallel>(a.invertibles()); }},
      {"InvertibleModuleWrapper", make_wrapper},
      {"ReversibleBlock", make_reversible_block},
      {"Checkpointed", [](auto& a) { return std::make_shared<Checkpointed>(a.children, a.variant.stored); }},
      {"Twice", container<Twice>},
      {"Fresh", container<Fresh>},
      {"Sum", container<Sum>},
      {"Bounded", container<Bounded>},
      {"Doubled", container<Doubled>},
      {"ScaleAndShift", container<ScaleAndShift>},
      {"Noise", plain<Noise>},
      {"Bomb", [](auto& a) { return std::make_shared<Bomb>(static_cast<Failure>(a.integer(0))); }},
      {"Scale", plain<Scale>},
      {"Flip", plain<Flip>},
      {"ActNorm", plain<ActNorm>},
      {"MaxNorm", [](auto& a) { return std::make_shared<MaxNorm>(a.integer(0)); }},
  };
  return table;
}

/// Numbers for a module's parameters and running statistics: weights of a size that keeps activations near 1,
/// scales near 1, none of them 0; or all of them 0. `seen` are those that have theirs.
void fill(Module& module, bool zero, Random random, std::set<const void*>& seen) {
  for (const auto& [name, parameter] : module.named_parameters()) {
    if (!seen.insert(parameter).second) continue;
    const Shape& shape = parameter->shape();
    const bool scale = shape.rank() == 1 && name.ends_with("weight");
    const double size =
        shape.rank() < 2
            ? 0.4
            : 1.2 / std::sqrt(static_cast<double>(shape.numel()) / static_cast<double>(shape[0]));
    for (double& value : parameter->value().mutable_values<double>())
      value = zero ? 0 : (scale ? 1 : 0) + random.uniform(-size, size);
  }
  for (const auto& [name, buffer] : module.named_buffers()) {
    if (!seen.insert(buffer).second || !name.ends_with("running_mean")) continue;
    for (double& value : buffer->mutable_values<double>()) value = random.uniform(-0.3, 0.3);
  }
}

}  // namespace

std::vector<bool> used_modules(const Program& program) {
  std::vector<bool> used(program.modules.size());
  for (const Statement& statement : program.statements)
    if (!statement.removed && statement.module >= 0) used[static_cast<std::size_t>(statement.module)] = true;
  for (std::size_t m = used.size(); m-- > 0;)
    if (used[m])
      for (const int child : program.modules[m].children)
        if (child >= 0) used[static_cast<std::size_t>(child)] = true;
  return used;
}

std::vector<ModulePtr> build_modules(const Program& program, const Variant& variant) {
  std::vector<ModulePtr> built;
  std::set<const void*> seen;
  const std::vector<bool> used = used_modules(program);
  for (std::size_t m = 0; m < program.modules.size(); ++m) {
    const ModuleSpec& spec = program.modules[m];
    if (!used[m]) {
      built.push_back(nullptr);
      continue;
    }
    Children children;
    for (const int child : spec.children)
      children.push_back(child < 0 ? nullptr : built[static_cast<std::size_t>(child)]);
    const std::uint64_t seed = combine(program.seed, m);
    const auto row = rows().find(spec.kind);
    if (row == rows().end()) throw std::logic_error("no module " + spec.kind);
    const Arguments arguments{spec.numbers, children, variant, seed};
    ModulePtr module = arguments.rebuilding(row->second(arguments));
    module->to(DType::f64);
    fill(*module, spec.zero, Random(seed), seen);
    if (spec.evaluation) module->eval();
    if (spec.frozen)
      for (Parameter* parameter : module->parameters()) parameter->set_requires_grad(false);
    built.push_back(std::move(module));
  }
  return built;
}

}  // namespace retrace::fuzz
