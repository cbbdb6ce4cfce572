#pragma once
#include <retrace/autograd/var.h>
#include <retrace/core/shape_rules.h>

namespace retrace {

/// The largest value of each window; a NaN wins. What is kept for the way back is where it was, never the
/// values. x: [N, C, H, W] -> [N, C, H', W'] (see pool2d_shape). Throws ArgumentError, ShapeError and
/// DTypeError.
Var max_pool2d(const Var& x, const Pool2dOptions& options = {});

/// The mean of each window; the padding counts as zeros.
/// x: [N, C, H, W] -> [N, C, H', W'] (see pool2d_shape). Throws ArgumentError, ShapeError and DTypeError.
Var avg_pool2d(const Var& x, const Pool2dOptions& options = {});

/// The mean of each cell of an out.h x out.w grid over the image: row i covers rows floor(i H / out.h) to
/// ceil((i + 1) H / out.h). `adaptive_avg_pool2d(x, 1)` is the global mean.
/// x: [N, C, H, W] -> [N, C, out.h, out.w]. Throws ArgumentError, ShapeError and DTypeError.
Var adaptive_avg_pool2d(const Var& x, Size2d out);

}  // namespace retrace
