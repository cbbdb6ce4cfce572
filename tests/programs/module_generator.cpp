#include "module_generator.h"

#include <algorithm>
#include <utility>

namespace retrace::fuzz {

namespace {

constexpr int kDeepest = 3;

double number(std::int64_t n) { return static_cast<double>(n); }

/// Dimensions that can be cut into two streams.
std::vector<int> even_dimensions(const Shape& shape) {
  std::vector<int> dims;
  for (int d = 0; d < shape.rank(); ++d)
    if (shape[d] % 2 == 0) dims.push_back(d);
  return dims;
}

}  // namespace

int ModuleGenerator::add(std::string kind, std::vector<double> numbers, std::vector<int> children) {
  program_.modules.push_back({.kind = std::move(kind),
                              .numbers = std::move(numbers),
                              .children = std::move(children),
                              .evaluation = random_.chance(0.05),
                              .frozen = random_.chance(0.05),
                              .zero = program_.zeros && random_.chance(0.1)});
  return static_cast<int>(program_.modules.size()) - 1;
}

int ModuleGenerator::activation() {
  if (program_.zeros && random_.chance(0.4)) return add("ReLU");
  switch (random_.integer(0, 8)) {
    case 0:
      return add("ReLU");
    case 1:
      return add("LeakyReLU", {random_.uniform(0.01, 0.5)});
    case 2:
      return add("SiLU");
    case 3:
      return add("GELU", {flag()});
    case 4:
      return add("Sigmoid");
    case 5:
      return add("Dropout", {random_.chance(0.1) ? 0 : random_.uniform(0.1, 0.7)});
    case 6:
      return add("Noise");
    case 7:
      return add("Bomb", {number(random_.integer(0, 2))});
    default:
      return add("Tanh");
  }
}

int ModuleGenerator::image_layer(const Shape& shape) {
  const std::int64_t c = shape[1];
  switch (random_.integer(0, 6)) {
    case 0:
      return add("Conv2d", {number(c), number(c), 3, 1, 1, c % 2 == 0 ? 1 + flag(0.3) : 1, flag()});
    case 1:
      return add("Conv2d", {number(c), number(c), 1, 1, 0, 1, flag()});
    case 2:
      if (shape.numel() > c) return add("BatchNorm2d", {number(c), 0.1});
      return activation();
    case 3:
      return add("MaxPool2d", {3, 1, 1});
    case 4:
      return add("AvgPool2d", {3, 1, 1});
    case 5:
      return residual(shape);
    default:
      return add("Conv2d", {number(c), number(c), 3, 1, 1, 1, 1});
  }
}

/// A residual branch or block of x's shape.
int ModuleGenerator::residual(const Shape& shape) {
  const std::int64_t c = shape[1];
  if (shape.numel() == c) return activation();
  const bool bottleneck = c % 4 == 0 && random_.chance(0.5);
  return add(random_.chance(0.5) ? "ResidualBranch" : "ResidualBlock",
             {number(c), number(bottleneck ? c / 4 : c), 1, bottleneck ? 1.0 : 0.0, flag(), flag() * 0.3});
}

int ModuleGenerator::layer(const Shape& shape) {
  if (random_.chance(0.4)) return activation();
  if (shape.rank() == 4 && random_.chance(0.7)) return image_layer(shape);
  const std::int64_t last = shape[-1];
  switch (random_.integer(0, 3)) {
    case 0:
      return add("LayerNorm", {number(last)});
    case 1:
      return add("GroupNorm", {shape[1] % 2 == 0 ? 1 + flag() : 1, number(shape[1]), flag()});
    case 2:
      if (random_.chance(0.1)) return add("MaxNorm", {number(last)});
      [[fallthrough]];
    default:
      return add("Linear", {number(last), number(last), flag()});
  }
}

/// A module that is there already, or -1.
int ModuleGenerator::reused(const Shape& shape, bool invertible) {
  std::vector<int> fitting;
  for (const Made& made : made_)
    if (made.shape == shape && (made.invertible || !invertible)) fitting.push_back(made.module);
  return fitting.empty() || !random_.chance(0.3) ? -1 : random_.choose(fitting);
}

int ModuleGenerator::sequential(const Shape& shape, int depth) {
  std::vector<int> children;
  for (std::int64_t n = random_.integer(1, 3); n > 0; --n) {
    if (shape.rank() == 4 && shape.numel() > shape[1] && random_.chance(0.15)) {  // which fuse
      children.push_back(add("BatchNorm2d", {number(shape[1]), 0.1}));
      children.push_back(add("ReLU"));
    }
    children.push_back(preserving(shape, depth + 1));
  }
  return add("Sequential", {}, std::move(children));
}

/// Whether a wrapper in the module may release its input.
bool ModuleGenerator::releases(int module) const {
  const ModuleSpec& spec = program_.modules[static_cast<std::size_t>(module)];
  if (spec.kind == "InvertibleModuleWrapper" || spec.kind == "ReversibleBlock" || spec.kind == "Stage")
    return true;
  return std::any_of(spec.children.begin(), spec.children.end(),
                     [this](int child) { return child >= 0 && releases(child); });
}

/// The module, for a place where its input is read again.
int ModuleGenerator::keeping(int module) { return releases(module) ? add("Fresh", {}, {module}) : module; }

int ModuleGenerator::container(const Shape& shape, int depth) {
  switch (random_.integer(0, 6)) {
    case 0:
      return add("Twice", {}, {preserving(shape, depth + 1)});
    case 1: {
      const int first = keeping(preserving(shape, depth + 1));
      return add("Sum", {}, {first, random_.chance(0.3) ? first : keeping(preserving(shape, depth + 1))});
    }
    case 2:
      return add("Checkpointed", {}, {preserving(shape, depth + 1)});
    case 3:
      return stage(shape, depth);
    default:
      return sequential(shape, depth);
  }
}

int ModuleGenerator::stage(const Shape& shape, int depth) {
  std::vector<int> children;
  const std::int64_t ordinary = random_.integer(0, 2);
  for (std::int64_t n = 0; n < ordinary; ++n) children.push_back(preserving(shape, depth + 1));
  if (ordinary == 0 || random_.chance(0.7))
    for (std::int64_t n = random_.integer(1, 2); n > 0; --n) children.push_back(invertible(shape, depth + 1));
  return add("Stage", {number(random_.integer(0, 3)), number(ordinary)}, std::move(children));
}

int ModuleGenerator::preserving(const Shape& shape, int depth) {
  if (const int old = reused(shape, false); old >= 0) return old;
  int module = -1;
  if (depth >= kDeepest || random_.chance(0.45))
    module = layer(shape);
  else if (random_.chance(0.35) && !even_dimensions(shape).empty())
    return random_.chance(0.5) ? invertible(shape, depth) : wrapper(shape, depth);
  else
    module = container(shape, depth);
  made_.push_back({module, shape, false});
  return module;
}

int ModuleGenerator::affine(const Shape& half, std::vector<double> numbers, int depth) {
  std::int64_t which = random_.integer(0, 2);
  if (which == 2 && half.rank() < 2) which = 0;
  const auto part = [&] {
    const int f = keeping(preserving(half, depth + 1));
    if (which == 1) return add("Bounded", {}, {f});
    return add(which == 0 ? "ScaleAndShift" : "Doubled", {}, {f, keeping(preserving(half, depth + 1))});
  };
  const int F = part();
  numbers.push_back(number(which));
  return add("AffineCoupling", std::move(numbers),
             {F, random_.chance(0.3)   ? -1
                 : random_.chance(0.2) ? F
                                       : part()});
}

int ModuleGenerator::coupling(const Shape& shape, int depth) {
  const std::vector<int> dims = even_dimensions(shape);
  const int dim =
      std::count(dims.begin(), dims.end(), 1) > 0 && random_.chance(0.7) ? 1 : random_.choose(dims);
  return coupling_of_streams(shape.with(dim, shape[dim] / 2), random_.chance(0.2) ? dim - shape.rank() : dim,
                             depth);
}

/// A coupling of two streams of that shape, or of their concatenation in `split_dim`.
int ModuleGenerator::coupling_of_streams(const Shape& half, int split_dim, int depth) {
  const auto implementation = [&] { return random_.chance(0.5) ? -1.0 : number(random_.integer(0, 1)); };
  std::vector<double> numbers = {implementation(), implementation(), number(split_dim)};
  if (random_.chance(0.4)) return affine(half, std::move(numbers), depth);
  const int F = keeping(preserving(half, depth + 1));
  const int G = random_.chance(0.3) ? -1 : random_.chance(0.3) ? F : keeping(preserving(half, depth + 1));
  return add("AdditiveCoupling", std::move(numbers), {F, G});
}

int ModuleGenerator::reversible_block(const Shape& shape, int depth) {
  const Shape half = shape.with(1, shape[1] / 2);
  const bool is_affine = random_.chance(0.5);
  const auto part = [&] {
    const int f = keeping(preserving(half, depth + 1));
    return is_affine ? add("Bounded", {}, {f}) : f;
  };
  const int F = part();
  return add("ReversibleBlock",
             {number(random_.integer(-1, 1)), number(random_.integer(-1, 1)), flag(), flag(),
              is_affine ? 1.0 : 0.0, number(random_.integer(2, 4))},
             {F, random_.chance(0.5) ? -1 : part()});
}

/// Whether a replay of the module draws random numbers.
bool ModuleGenerator::draws(int module) const {
  const ModuleSpec& spec = program_.modules[static_cast<std::size_t>(module)];
  if (spec.kind == "Dropout" || spec.kind == "Noise" || spec.kind.starts_with("Residual")) return true;
  return std::any_of(spec.children.begin(), spec.children.end(),
                     [this](int child) { return child >= 0 && draws(child); });
}

int ModuleGenerator::wrapper(const Shape& shape, int depth) {
  const int module = wrap(invertible(shape, depth + 1));
  made_.push_back({module, shape, true});
  return module;
}

int ModuleGenerator::wrap(int fn) {
  const double preserve = draws(fn) || random_.chance(0.7) ? 1 : 0;
  return add(
      "InvertibleModuleWrapper",
      {flag(0.2), flag(0.2), number(random_.integer(2, 4)), preserve, flag(program_.zeros ? 0.7 : 0.3)},
      {fn});
}

int ModuleGenerator::two_streams(const Shape& half, int depth) {
  std::vector<int> blocks;
  switch (depth < kDeepest ? random_.integer(0, 5) : 5) {
    case 0:
      return add("Parallel", {}, {invertible(half, depth + 1), invertible(half, depth + 1)});
    case 1:
      return add("Inverse", {}, {two_streams(half, depth + 1)});
    case 2:
      return wrap(two_streams(half, depth + 1));
    case 3:
      for (std::int64_t n = random_.integer(2, 3); n > 0; --n) blocks.push_back(two_streams(half, depth + 1));
      return add("InvertibleSequence", {}, std::move(blocks));
    default:
      return coupling_of_streams(half, 1, depth);
  }
}

/// An invertible module on a part of a dimension.
int ModuleGenerator::on_channels(const Shape& shape, int depth) {
  const auto dim = static_cast<int>(random_.integer(0, shape.rank() - 1));
  const std::int64_t begin = random_.integer(0, shape[dim] - 1);
  const std::int64_t end = random_.integer(begin + 1, shape[dim]);
  const int fn = invertible(shape.with(dim, end - begin), depth + 1);
  return add("OnChannels", {number(begin), number(end), number(dim)}, {fn});
}

int ModuleGenerator::invertible(const Shape& shape, int depth) {
  if (const int old = reused(shape, true); old >= 0) return old;
  const bool can_be_cut = !even_dimensions(shape).empty();
  int module = -1;
  if (depth <= kDeepest && random_.chance(0.1)) {
    module = on_channels(shape, depth);
  } else if (depth > kDeepest || !can_be_cut || random_.chance(0.1)) {
    const bool flips = shape.rank() > 1 && shape[1] % 2 == 0 && random_.chance(0.5);
    module = add(flips ? "Flip" : random_.chance(0.2) ? "ActNorm" : "Scale");
  } else if (random_.chance(0.25)) {
    std::vector<int> blocks;
    for (std::int64_t n = random_.integer(1, 3); n > 0; --n) blocks.push_back(invertible(shape, depth + 1));
    module = add("InvertibleSequence", {}, std::move(blocks));
  } else if (random_.chance(0.15)) {
    module = add("Inverse", {}, {invertible(shape, depth + 1)});
  } else if (random_.chance(0.1)) {
    return wrapper(shape, depth + 1);
  } else if (shape[1] % 2 == 0 && random_.chance(0.1)) {
    module = reversible_block(shape, depth);
  } else {
    module = coupling(shape, depth);
  }
  made_.push_back({module, shape, true});
  return module;
}

int ModuleGenerator::table(std::int64_t vectors) {
  return add("Embedding", {number(vectors), number(2 * random_.integer(1, 2)),
                           random_.chance(0.3) ? number(random_.integer(0, 1)) : -1});
}

/// A whole network, with any policy.
int ModuleGenerator::network(const Shape& shape) {
  const std::int64_t policy = random_.integer(0, 3);
  const double reversible = policy >= 2 ? 1 : flag();
  return add("ResidualNetwork", {number(shape[1]), number(2 * random_.integer(1, 2)), flag(), reversible,
                                 random_.chance(0.3) ? 0.2 : 0.0, number(policy)});
}

int ModuleGenerator::any(const Shape& shape) {
  const std::int64_t wide = random_.integer(1, 2) * 2;
  if (shape.rank() != 4 || random_.chance(0.3))
    return add("Linear", {number(shape[-1]), number(wide), flag()});
  switch (random_.integer(0, shape[0] > 1 ? 4 : 2)) {
    case 0:
      return add("Conv2d", {number(shape[1]), number(wide), 1, 2, 0, 1, flag()});
    case 1:
      return add("AdaptiveAvgPool2d", {number(random_.integer(1, 2)), number(random_.integer(1, 2))});
    case 2:
      return add("Flatten", {number(random_.integer(-3, 3))});
    case 3:
      return network(shape);
    default:
      return add("ResidualBlock",
                 {number(shape[1]), number(wide), number(random_.integer(1, 2)), 0, flag(), 0.2});
  }
}

}  // namespace retrace::fuzz
