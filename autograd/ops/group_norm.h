#pragma once
#include <retrace/autograd/var.h>

#include <cstdint>

namespace retrace {

/// @file
/// y = gamma (x - mean) / sqrt(var + eps) + beta, with the mean and the (biased) variance of each part of
/// each sample; gamma and beta may be undefined: 1 and 0. Nothing depends on the rest of the batch. Both
/// throw ShapeError, DTypeError, and ArgumentError unless eps is above 0.

/// Of the last dimensions, which must be `normalized_shape`. x: [..., normalized_shape]; gamma, beta:
/// normalized_shape. Ba, Kiros, Hinton: "Layer normalization", 2016.
Var layer_norm(const Var& x, const Shape& normalized_shape, const Var& gamma = {}, const Var& beta = {},
               double eps = 1e-5);

/// Of each of num_groups groups of channels. x: [N, C, ...]; gamma, beta: [C]. Throws ArgumentError unless
/// num_groups divides C. Wu, He: "Group normalization", ECCV 2018.
Var group_norm(const Var& x, std::int64_t num_groups, const Var& gamma = {}, const Var& beta = {},
               double eps = 1e-5);

}  // namespace retrace
