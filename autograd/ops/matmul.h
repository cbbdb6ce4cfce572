#pragma once
#include <retrace/autograd/var.h>
#include <retrace/core/shape_rules.h>

namespace retrace {

/// y = a b for each matrix of a batch.  da = dy b^T, db = a^T dy.
/// a: [..., M, K], b: [..., K, N] -> [..., M, N]; leading dimensions broadcast, so a 2-D b serves all of a's
/// matrices. A vector is a row as a and a column as b, never transposed: [K], [..., K, N] -> [..., N];
/// [..., M, K], [K] -> [..., M]; [K], [K] -> []. Throws ShapeError and DTypeError.
Var matmul(const Var& a, const Var& b, const MatmulOptions& options = {});

/// y = x w^T + bias.
/// x: [..., in], w: [out, in], bias: [out] or undefined -> [..., out]. Throws ShapeError and DTypeError.
Var linear(const Var& x, const Var& w, const Var& bias = {});

}  // namespace retrace
