#include <retrace/core/cpu/parallel.h>
#include <retrace/core/kernels.h>

#include <algorithm>

namespace retrace {

namespace {

using cpu::kGrain;
using cpu::parallel_for;

constexpr std::int64_t kColumns = 256;  // sums that are held at a time

void embedding_cpu(const Tensor& weight, const Tensor& indices, Tensor& y) {
  const std::int64_t width = weight.shape()[1];
  visit_float("embedding", weight.dtype(), [&]<class T>(TypeTag<T>) {
    const T* table = weight.data<T>();
    const std::int64_t* index = indices.data<std::int64_t>();
    T* to = y.mutable_data<T>();
    parallel_for(indices.numel(), std::max<std::int64_t>(1, kGrain / width),
                 [=](std::int64_t begin, std::int64_t end) {
                   for (std::int64_t i = begin; i < end; ++i)
                     std::copy_n(table + index[i] * width, width, to + i * width);
                 });
  });
}

/// Where each row of the table was used: uses [first[r], first[r + 1]) are places in `indices`, in order.
struct Uses {
  Tensor first, places;

  Uses(const Tensor& indices, std::int64_t rows)
      : first({rows + 1}, DType::i64, Tag::workspace), places({indices.numel()}, DType::i64, Tag::workspace) {
    const auto index = indices.values<std::int64_t>();
    const auto ends = first.mutable_values<std::int64_t>();
    const auto sorted = places.mutable_values<std::int64_t>();
    std::fill(ends.begin(), ends.end(), std::int64_t{0});
    for (const std::int64_t row : index) ++ends[static_cast<std::size_t>(row)];
    std::int64_t sum = 0;
    for (std::int64_t& end : ends) end = sum += end;
    // From the back, so that each end moves to the beginning of its row's uses.
    for (std::size_t i = index.size(); i-- > 0;)
      sorted[static_cast<std::size_t>(--ends[static_cast<std::size_t>(index[i])])] =
          static_cast<std::int64_t>(i);
  }
};

/// to = the sum of the rows of dy at `places`, `width` elements each.
template <class T>
void sum_rows(const T* dy, std::span<const std::int64_t> places, std::int64_t width, T* to) {
  double sums[kColumns];
  for (std::int64_t column = 0; column < width; column += kColumns) {
    const std::int64_t n = std::min(kColumns, width - column);
    std::fill_n(sums, n, 0.0);
    for (const std::int64_t place : places) {
      const T* terms = dy + place * width + column;
      for (std::int64_t k = 0; k < n; ++k) sums[k] += static_cast<double>(terms[k]);
    }
    for (std::int64_t k = 0; k < n; ++k) to[column + k] = static_cast<T>(sums[k]);
  }
}

void embedding_backward_cpu(const Tensor& dy, const Tensor& indices, std::int64_t padding_idx,
                            Tensor& dweight) {
  const std::int64_t rows = dweight.shape()[0];
  const std::int64_t width = dweight.shape()[1];
  const Uses uses(indices, rows);
  const std::int64_t* first = uses.first.data<std::int64_t>();
  const std::int64_t* places = uses.places.data<std::int64_t>();
  visit_float("embedding", dy.dtype(), [&]<class T>(TypeTag<T>) {
    const T* from = dy.data<T>();
    T* to = dweight.mutable_data<T>();
    parallel_for(rows, std::max<std::int64_t>(1, kGrain / width), [=](std::int64_t begin, std::int64_t end) {
      for (std::int64_t row = begin; row < end; ++row) {
        const std::int64_t count = row == padding_idx ? 0 : first[row + 1] - first[row];
        sum_rows(from, std::span(places + first[row], static_cast<std::size_t>(count)), width,
                 to + row * width);
      }
    });
  });
}

}  // namespace

constinit decltype(kernel::embedding) kernel::embedding{&embedding_cpu};
constinit decltype(kernel::embedding_backward) kernel::embedding_backward{&embedding_backward_cpu};

}  // namespace retrace
