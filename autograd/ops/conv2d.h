#pragma once
#include <retrace/autograd/var.h>
#include <retrace/core/shape_rules.h>

namespace retrace {

/// y[n, o, i, j] = bias[o] + sum over c, u, v of w[o, c, u, v] x[n, c, stride i - padding + dilation u, ...],
/// where x is zero outside and c runs over the channels of o's group (a cross-correlation, as is usual). x:
/// [N, C, H, W], w: [O, C / groups, h, w], bias: [O] or undefined -> [N, O, H', W'] (see conv2d_shape).
/// Throws ArgumentError, ShapeError and DTypeError.
Var conv2d(const Var& x, const Var& w, const Var& bias = {}, const Conv2dOptions& options = {});

}  // namespace retrace
