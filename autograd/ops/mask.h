#pragma once
// Internal: the masks of one bit per element that operations keep for their derivatives.
#include <retrace/autograd/decisions.h>
#include <retrace/autograd/record.h>

namespace retrace::detail {

/// A decision of `rows` bits for each element of x.
inline Decision decide_by_mask(std::string_view op, bool needed, const Tensor& x, std::int64_t rows = 1) {
  const std::int64_t bytes = (x.numel() + 7) / 8;
  return {op,
          needed,
          {.shape = rows == 1 ? Shape{bytes} : Shape{rows, bytes}, .dtype = DType::u8, .elements = x.numel()},
          x.device()};
}

}  // namespace retrace::detail
