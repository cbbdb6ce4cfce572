#include <retrace/autograd/autocast.h>
#include <retrace/autograd/ops/check.h>
#include <retrace/autograd/ops/embedding.h>
#include <retrace/autograd/record.h>
#include <retrace/core/kernels.h>
#include <retrace/core/shape_rules.h>

namespace retrace {

namespace {

constexpr std::string_view kOp = "embedding";

void check_indices(const Tensor& indices, const Var& weight) {
  if (indices.dtype() != DType::i64) fail<DTypeError>(kOp, "indices must be i64, got {}", indices.dtype());
  const std::int64_t rows = weight.shape()[0];
  const Tensor readable = on_cpu(indices);
  std::int64_t n = 0;
  for (const std::int64_t index : readable.values<std::int64_t>()) {
    if (index < 0 || index >= rows)
      fail<ArgumentError>(kOp, "indices must be in [0,{0}) for {0} rows, got {1} at index {2}", rows, index,
                          n);
    ++n;
  }
}

}  // namespace

std::optional<std::int64_t> padding_row(const EmbeddingOptions& options, std::int64_t rows) {
  if (!options.padding_idx) return std::nullopt;
  const std::int64_t row = *options.padding_idx;
  if (row < -rows || row >= rows)
    fail<ArgumentError>(kOp, "padding_idx must be in [-{0},{0}) for {0} rows, got {1}", rows, row);
  return row < 0 ? row + rows : row;
}

/// dweight[v] = sum of dy where the index is v
Var embedding(const Tensor& indices, const Var& weight, const EmbeddingOptions& options) {
  if (autocast::to_f32(weight)) return embedding(indices, autocast::in_f32(weight), options);
  detail::check_float(kOp, weight, "weight");
  detail::check_defined(kOp, "indices", indices);
  Tensor y = like(weight.value(), embedding_shape(indices.shape(), weight.shape()));
  check_indices(indices, weight);
  const std::int64_t padding = padding_row(options, weight.shape()[0]).value_or(-1);
  kernel::embedding(weight.value(), indices, y);
  return record(kOp, {weight}, y, /*save=*/{indices},
                [table = weight.shape(), padding](const Tensor& dy, Saved saved, const Wants&) -> Tensors {
                  Tensor dweight = like(dy, table, Tag::gradient);
                  kernel::embedding_backward(dy, saved[0], padding, dweight);
                  return {dweight};
                });
}

}  // namespace retrace
