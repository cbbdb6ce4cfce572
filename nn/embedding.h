#pragma once
#include <retrace/autograd/ops/embedding.h>
#include <retrace/nn/module.h>

namespace retrace {

/// A table of learned vectors: y = the rows of weight at the indices x.
/// x: [...] of type i64, weight: [num_embeddings, embedding_dim] -> [..., embedding_dim]
class Embedding final : public Module {
 public:
  /// Begins with the normal distribution, and zeros in the row padding_idx. Throws ArgumentError for sizes
  /// below 1 and for a padding_idx outside the table.
  Embedding(std::int64_t num_embeddings, std::int64_t embedding_dim, const EmbeddingOptions& options = {});

  /// Throws ArgumentError for an index outside the table.
  Var forward(const Var& x) override;
  void members(Members& m) override;

  Parameter& weight() { return weight_; }  ///< the table, [num_embeddings, embedding_dim]

 private:
  std::shared_ptr<Module> copy() const override { return std::make_shared<Embedding>(*this); }

  EmbeddingOptions options_;
  Parameter weight_;
};

}  // namespace retrace
