#pragma once
#include <retrace/autograd/var.h>

#include <cstdint>
#include <optional>

namespace retrace {

/// What `embedding` makes of a row that stands for nothing.
struct EmbeddingOptions {
  /// A row that gets no gradient; it counts from the end where it is negative.
  std::optional<std::int64_t> padding_idx{};
};

/// options.padding_idx as one of `rows` rows. Throws ArgumentError unless it is in [-rows, rows).
std::optional<std::int64_t> padding_row(const EmbeddingOptions& options, std::int64_t rows);

/// The rows of weight at `indices`. The gradient of a row is the sum over its uses, in their order.
/// indices: [...] of type i64, weight: [V, D] -> [..., D]. Throws ShapeError, DTypeError, and ArgumentError
/// for the first index that is not in [0, V) and for a padding_idx that is not in [-V, V).
Var embedding(const Tensor& indices, const Var& weight, const EmbeddingOptions& options = {});

}  // namespace retrace
