#pragma once
#include <retrace/autograd/var.h>
#include <retrace/core/shape_rules.h>

namespace retrace {

/// y[n, o, i, j] = bias[o] + sum over c, u, v of w[o, c, u, v] x[n, c, stride i - padding + dilation u, ...],
/// where x is zero outside and c runs over the channels of o's group (a cross-correlation, as is usual). x:
/// [N, C, H, W], w: [O, C / groups, h, w], bias: [O] or undefined -> [N, O, H', W'] (see conv2d_shape). In
/// f32 and the 16-bit types, 3 x 3 filters may be computed tile by tile, where a NaN or an infinity in x
/// reaches all outputs of its tiles; `.algorithm = Conv2dAlgorithm::direct` confines it to the outputs that
/// read it. Throws ArgumentError, ShapeError and DTypeError.
Var conv2d(const Var& x, const Var& w, const Var& bias = {}, const Conv2dOptions& options = {});

/// residual + conv2d(x, w, bias, options), or the difference, in one pass, rounded as two. The residual is
/// taken (and is undefined afterwards) where it has the result's shape and element type, Autocast does not
/// cast, and where it is added or no gradient is needed; its memory is used where nobody else holds it. Else
/// it stays, and the result is that of conv2d alone.
Var conv2d_onto(Var& residual, Sign sign, const Var& x, const Var& w, const Var& bias,
                const Conv2dOptions& options);

}  // namespace retrace
