#pragma once
#include <retrace/core/shape.h>

#include <vector>

#include "program.h"

namespace retrace::fuzz {

/// Adds random modules to a program. Some of those that are there are used once more.
class ModuleGenerator {
 public:
  ModuleGenerator(Program& program, Random& random) : program_(program), random_(random) {}

  /// A module from x: `shape` to a result of the same shape.
  int preserving(const Shape& shape, int depth = 0);
  /// The same, of those with an inverse. It takes one tensor.
  int invertible(const Shape& shape, int depth = 0);
  /// A module whose result has any shape.
  int any(const Shape& shape);
  /// A wrapper around an invertible module.
  int wrapper(const Shape& shape, int depth = 0);
  /// An invertible module of two tensors of that shape.
  int two_streams(const Shape& half, int depth = 0);
  /// A table of vectors.
  int table(std::int64_t vectors);

 private:
  struct Made {
    int module;
    Shape shape;
    bool invertible;
  };

  int add(std::string kind, std::vector<double> numbers = {}, std::vector<int> children = {});
  int layer(const Shape& shape);
  int image_layer(const Shape& shape);
  int activation();
  int container(const Shape& shape, int depth);
  int sequential(const Shape& shape, int depth);
  int stage(const Shape& shape, int depth);
  int coupling(const Shape& shape, int depth);
  int coupling_of_streams(const Shape& half, int split_dim, int depth);
  int on_channels(const Shape& shape, int depth);
  int network(const Shape& shape);
  int wrap(int fn);
  int affine(const Shape& half, std::vector<double> numbers, int depth);
  int reversible_block(const Shape& shape, int depth);
  int residual(const Shape& shape);
  int keeping(int module);
  bool releases(int module) const;
  int reused(const Shape& shape, bool invertible);
  bool draws(int module) const;
  double flag(double probability = 0.5) { return random_.chance(probability) ? 1 : 0; }

  Program& program_;
  Random& random_;
  std::vector<Made> made_{};
};

}  // namespace retrace::fuzz
