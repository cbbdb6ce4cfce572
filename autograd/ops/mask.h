#pragma once
// Internal: the masks of one bit an element that operations keep for the way back.
#include <retrace/autograd/record.h>

namespace retrace::detail {

/// `rows` bits for each element of x, when the tape will ask for them; else undefined.
inline Tensor make_mask(bool needed, const Tensor& x, std::int64_t rows = 1) {
  return make_saved(needed, [&] {
    const std::int64_t bytes = (x.numel() + 7) / 8;
    return Tensor(rows == 1 ? Shape{bytes} : Shape{rows, bytes}, DType::u8, Tag::saved, x.device());
  });
}

}  // namespace retrace::detail
