#include <retrace/autograd/ops.h>
#include <retrace/core/fail.h>
#include <retrace/core/names.h>
#include <retrace/core/saturated.h>
#include <retrace/nn/init.h>
#include <retrace/nn/option_ranges.h>
#include <retrace/revnet/checkpoint.h>
#include <retrace/revnet/coupling.h>
#include <retrace/revnet/networks.h>
#include <retrace/revnet/residual.h>

#include <algorithm>
#include <array>
#include <utility>

namespace retrace {

namespace {

constexpr std::int64_t kMaxParameters = std::int64_t{1} << 59;  // as many elements as a tensor may have

std::int64_t count_parameters(const NetworkOptions& options);

const NetworkOptions& checked(const NetworkOptions& options) {
  if (options.blocks.empty() || options.channels.size() != options.blocks.size() + 1)
    fail<ArgumentError>("network", "channels must list the stem's and each stage's, got {} for {} stages",
                        options.channels.size(), options.blocks.size());
  if (!options.strides.empty() && options.strides.size() != options.channels.size())
    fail<ArgumentError>("network", "strides must list the stem's and each stage's, got {} for {} stages",
                        options.strides.size(), options.blocks.size());
  for (const auto& list : {options.channels, options.blocks, options.strides})
    if (std::any_of(list.begin(), list.end(), [](std::int64_t n) { return n < 1; }))
      fail<ArgumentError>("network", "channels, blocks and strides must be at least 1, got {}",
                          fmt::join(list, ","));
  if (options.stem.kernel < 1 || options.stem.kernel % 2 == 0)
    fail<ArgumentError>("network", "the stem's kernel must be odd and at least 1, got {}",
                        options.stem.kernel);
  if (options.in_channels < 1 || options.classes < 1)
    fail<ArgumentError>("network", "there must be at least 1 input channel and 1 class, got {} and {}",
                        options.in_channels, options.classes);
  kNetworkDropoutRange.check("network", "the dropout probability", options.dropout);
  if (count_parameters(options) > kMaxParameters)
    fail<ArgumentError>(
        "network", "the network must have at most 2^59 parameters, but its channels and blocks make more");
  return options;
}

/// Of the stem (0) and of each stage (1, 2, ...).
std::int64_t stride_of(const NetworkOptions& options, std::size_t place) {
  if (!options.strides.empty()) return options.strides[place];
  return place < 2 ? 1 : 2;
}

std::int64_t width_out(const NetworkOptions& options, std::size_t stage) {
  return (Saturated(options.channels[stage + 1]) * expansion(options.bottleneck)).value();
}

std::int64_t width_in(const NetworkOptions& options, std::size_t stage) {
  return stage == 0 ? options.channels[0] : width_out(options, stage - 1);
}

/// Parameters of a ResidualBranch: its convolutions, and two a channel of each batch norm.
Saturated branch_parameters(Saturated in, Saturated width, bool bottleneck, bool preactivation) {
  const Saturated first_norm = preactivation ? Saturated(2) * in : 0;
  if (bottleneck) return first_norm + in * width + width * (Saturated(13) * width + 4);
  return first_norm + Saturated(9) * in * width + width * (Saturated(9) * width + 2);
}

/// Parameters of one block of a stage, as make_stage builds it.
Saturated block_parameters(const NetworkOptions& options, std::size_t stage, bool first) {
  const std::int64_t in = first ? width_in(options, stage) : width_out(options, stage);
  const std::int64_t width = options.channels[stage + 1];
  const Saturated out = width_out(options, stage);
  const bool preactivation = stage > 0 || !first;
  const bool keeps_shape = (!first || stride_of(options, stage + 1) == 1) && in == out.value();
  if (options.reversible && keeps_shape)
    return Saturated(2) * branch_parameters(in / 2, width / 2, options.bottleneck, preactivation);
  const Saturated shortcut = keeps_shape ? 0 : out * in + Saturated(2) * out;
  return shortcut + branch_parameters(in, width, options.bottleneck, preactivation);
}

std::int64_t count_parameters(const NetworkOptions& options) {
  const Saturated stem = options.channels[0];
  const Saturated kernel = options.stem.kernel;
  Saturated count = stem * options.in_channels * kernel * kernel + Saturated(2) * stem;
  for (std::size_t s = 0; s < options.blocks.size(); ++s)
    count = count + block_parameters(options, s, true) +
            block_parameters(options, s, false) * (options.blocks[s] - 1);
  const Saturated features = width_out(options, options.blocks.size() - 1);
  return (count + Saturated(2) * features + (features + 1) * options.classes).value();
}

std::shared_ptr<InvertibleModule> coupling(std::int64_t in, std::int64_t width, const BranchOptions& branch) {
  if (in % 2 != 0 || width % 2 != 0)
    fail<ShapeError>("network",
                     "a reversible block needs an even number of channels to cut into two streams, got {}",
                     width);
  auto F = std::make_shared<ResidualBranch>(in / 2, width / 2, branch);
  auto G = std::make_shared<ResidualBranch>(in / 2, width / 2, branch);
  return std::make_shared<AdditiveCoupling>(std::move(F), std::move(G));
}

std::shared_ptr<Stage> make_stage(const NetworkOptions& options, std::size_t stage) {
  const std::int64_t width = options.channels[stage + 1];
  std::int64_t in = width_in(options, stage);
  std::vector<std::shared_ptr<Module>> ordinary;
  std::vector<std::shared_ptr<InvertibleModule>> invertible;
  for (std::int64_t b = 0; b < options.blocks[stage]; ++b) {
    const BranchOptions branch{.stride = b == 0 ? stride_of(options, stage + 1) : 1,
                               .bottleneck = options.bottleneck,
                               .preactivation = stage > 0 || b > 0,
                               .dropout = options.dropout,
                               .norm = options.norm};
    const bool keeps_shape = branch.stride == 1 && in == width_out(options, stage);
    if (options.reversible && keeps_shape)
      invertible.push_back(coupling(in, width, branch));
    else
      ordinary.push_back(std::make_shared<ResidualBlock>(in, width, branch));
    in = width_out(options, stage);
  }
  return std::make_shared<Stage>(std::move(ordinary), std::move(invertible));
}

/// He, Zhang, Ren, Sun: "Delving deep into rectifiers", ICCV 2015, for the way back (fan-out).
void initialise(Module& network) {
  for (const auto& [name, module] : network.named_modules())
    if (auto* conv = dynamic_cast<Conv2d*>(module)) init::he_normal(conv->weight().value(), init::Fan::out);
}

}  // namespace

Stem::Stem(const NetworkOptions& options)
    : conv_(checked(options).in_channels, options.channels[0],
            {.kernel = options.stem.kernel,
             .stride = stride_of(options, 0),
             .padding = options.stem.kernel / 2,
             .bias = false}),
      norm_(options.channels[0], options.norm),
      max_pool_(options.stem.max_pool) {}

Var Stem::forward(const Var& x) {
  const Var y = norm_.then_relu(conv_(x));
  return max_pool_ ? max_pool2d(y, {.kernel = 3, .stride = 2, .padding = 1}) : y;
}

void Stem::members(Members& m) {
  m.module("conv1", conv_);
  m.module("bn1", norm_);
}

ResidualNetwork::ResidualNetwork(const NetworkOptions& options)
    : options_(checked(options)),
      stem_(std::make_shared<Stem>(options)),
      final_norm_(width_out(options, options.blocks.size() - 1), options.norm),
      classifier_(width_out(options, options.blocks.size() - 1), options.classes) {
  for (std::size_t s = 0; s < options_.blocks.size(); ++s) stages_.push_back(make_stage(options_, s));
  initialise(*this);
}

Var ResidualNetwork::forward(const Var& x) {
  Var h = policy_ == Policy::stored ? (*stem_)(x) : checkpoint(stem_, x);
  for (const auto& stage : stages_) h = (*stage)(h);
  h = final_norm_.then_relu(h);
  return classifier_(flatten(adaptive_avg_pool2d(h, 1)));
}

void ResidualNetwork::members(Members& m) {
  m.module("", stem_);
  for (std::size_t s = 0; s < stages_.size(); ++s) m.module("stage" + std::to_string(s + 1), stages_[s]);
  m.module("bn_final", final_norm_);
  m.module("fc", classifier_);
}

void ResidualNetwork::set_policy(Policy policy) {
  if (is_reversible(policy) && !has_reversible_blocks(options_))
    fail<ArgumentError>("network",
                        "policy {} needs a network with reversible blocks (a revnet), got one without",
                        name_of(policy));
  policy_ = policy;
  for (const auto& stage : stages_) stage->set_policy(policy);
}

std::int64_t parameter_count(const NetworkOptions& options) { return count_parameters(checked(options)); }

bool has_reversible_blocks(const NetworkOptions& options) {
  for (std::size_t s = 0; s < checked(options).blocks.size(); ++s) {
    const bool first = stride_of(options, s + 1) == 1 && width_in(options, s) == width_out(options, s);
    if (options.reversible && (first || options.blocks[s] > 1)) return true;
  }
  return false;
}

namespace {

struct NamedNetwork {
  std::string_view name;
  bool reversible;
  bool bottleneck;
  std::int64_t blocks;
  std::array<std::int64_t, 4> channels;
};

constexpr std::array kNetworks = {
    NamedNetwork{"resnet32", false, false, 5, {16, 16, 32, 64}},
    NamedNetwork{"resnet110", false, false, 18, {16, 16, 32, 64}},
    NamedNetwork{"resnet164", false, true, 18, {16, 16, 32, 64}},
    NamedNetwork{"revnet38", true, false, 3, {32, 32, 64, 112}},
    NamedNetwork{"revnet110", true, false, 9, {32, 32, 64, 128}},
    NamedNetwork{"revnet164", true, true, 9, {32, 32, 64, 128}},
    NamedNetwork{"tiny", true, false, 2, {8, 8, 16, 32}},
};

}  // namespace

std::vector<std::string> network_names() {
  std::vector<std::string> names;
  for (const NamedNetwork& network : kNetworks) names.emplace_back(network.name);
  return names;
}

NetworkOptions network_options(std::string_view name) {
  const auto* found =
      std::find_if(kNetworks.begin(), kNetworks.end(), [&](const NamedNetwork& n) { return n.name == name; });
  if (found == kNetworks.end())
    fail<ArgumentError>("network", "the name {}", name_complaint(name, network_names()));
  return {.channels = {found->channels.begin(), found->channels.end()},
          .blocks = std::vector<std::int64_t>(3, found->blocks),
          .bottleneck = found->bottleneck,
          .reversible = found->reversible};
}

}  // namespace retrace
