#pragma once
#include <retrace/core/tensor.h>
#include <retrace/nn/module.h>

#include <optional>
#include <string>
#include <vector>

namespace retrace::cli {

/// Whether no element of `x` is infinite or NaN. Integers are finite.
bool is_finite(const Tensor& x);

/// The name of the first tensor that holds an infinite element or a NaN, or none.
std::optional<std::string> first_not_finite(const std::vector<Named<Tensor>>& tensors);

}  // namespace retrace::cli
