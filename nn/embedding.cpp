#include <retrace/core/fail.h>
#include <retrace/nn/embedding.h>
#include <retrace/nn/init.h>

namespace retrace {

Embedding::Embedding(std::int64_t num_embeddings, std::int64_t embedding_dim, const EmbeddingOptions& options)
    : options_(options) {
  if (num_embeddings < 1 || embedding_dim < 1)
    fail<ArgumentError>("embedding", "the table must have at least 1 row and 1 column, got {} and {}",
                        num_embeddings, embedding_dim);
  const std::optional<std::int64_t> padding = padding_row(options, num_embeddings);
  Tensor weight({num_embeddings, embedding_dim}, DType::f32, Tag::parameter);
  init::normal(weight);
  if (padding) {
    Tensor row = weight.slice(*padding, *padding + 1);
    init::constant(row, 0);
  }
  weight_ = Parameter(weight);
}

Var Embedding::forward(const Var& x) { return embedding(x.value(), weight_, options_); }

void Embedding::members(Members& m) { m.parameter("weight", weight_); }

}  // namespace retrace
