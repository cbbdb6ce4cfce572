#pragma once
// The sums of products that a convolution and its derivatives are, one product after the other.
#include <retrace/core/shape_rules.h>
#include <retrace/core/tensor.h>

#include <vector>

#include "../support/rounding.h"

namespace retrace::test {

struct Conv2dCase {
  Shape x, w;
  Conv2dOptions options{};
};

/// What a convolution and its derivatives add up.
struct Conv2dSums {
  std::vector<RoundedSum> y, with_bias, dx, dw;

  Conv2dSums(const Conv2dCase& c, const Tensor& x, const Tensor& w, const Tensor& bias, const Tensor& dy);
};

}  // namespace retrace::test
