#pragma once
#include <retrace/autograd/var.h>

#include <cstdint>
#include <initializer_list>
#include <vector>

namespace retrace {

/// @file
/// Results that are contiguous in x (reshape, flatten, parts of dimension 0) share its bytes; the others are
/// copies. A dimension counts from the end where it is negative; flatten and transpose take 0 and -1 for a
/// scalar, too. All throw ShapeError.

/// The same elements under another shape.
Var reshape(const Var& x, const Shape& shape);
/// Returns x's elements under `extents`, one of which may be -1: it is what the others leave.
Var reshape(const Var& x, std::initializer_list<std::int64_t> extents);
/// Dimensions from start_dim to end_dim become one, by default [N, C, H, W] -> [N, C H W]; [] -> [1].
Var flatten(const Var& x, int start_dim = 1, int end_dim = -1);

/// Dimension d of the result is dimension dims[d] of x.
Var permute(const Var& x, const std::vector<int>& dims);
/// x with two dimensions swapped.
Var transpose(const Var& x, int dim0, int dim1);

/// x[.., begin:end:step, ..] in one dimension; `slice(x, 1, 1, channels, 2)` is x[:, 1::2].
Var slice(const Var& x, int dim, std::int64_t begin, std::int64_t end, std::int64_t step = 1);
/// x in `parts` equal parts along a dimension.
Vars split(const Var& x, int parts, int dim = 0);
/// x in parts of the given sizes along a dimension.
Vars split(const Var& x, const std::vector<std::int64_t>& sizes, int dim = 0);
/// The xs, one after the other along a dimension.
Var concatenate(const Vars& xs, int dim = 0);

}  // namespace retrace
