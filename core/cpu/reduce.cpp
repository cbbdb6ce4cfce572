#include <retrace/core/cpu/parallel.h>
#include <retrace/core/kernels.h>
#include <retrace/core/loops.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

namespace retrace {

namespace {

using cpu::kGrain;
using cpu::parallel_for;

constexpr std::int64_t kLanes = 16;     // sums that a row is spread over
constexpr std::int64_t kColumns = 256;  // columns that are summed together
constexpr std::int64_t kMaxParts = 1024;

/// How sum_to walks x: over the elements of `out` (kept) and over the terms of each (reduced).
struct Reduction {
  detail::Loops<1> kept;
  detail::Loops<1> reduced;
  bool by_rows = true;         // the innermost dimension of x is reduced
  std::int64_t columns = 1;    // else: elements of `out` that lie side by side in x
  std::int64_t parts = 1;      // pieces of the terms, a function of the shapes alone
  std::int64_t part_size = 1;  // terms in a piece

  Reduction(const Shape& x, const Shape& out) {
    for (int d = 0; d < x.rank(); ++d)
      (out[d] == x[d] ? kept : reduced).push({.extent = x[d], .strides = {x.numel_after(d)}});
    by_rows = kept.count() == 0 || kept.innermost().strides[0] != 1;
    if (!by_rows) columns = kept.innermost().extent;
    const std::int64_t terms = reduced.numel();
    const std::int64_t together = std::min(columns, kColumns);
    part_size = std::max(cpu::task_count(kGrain, together), cpu::task_count(terms, kMaxParts));
    parts = cpu::task_count(terms, part_size);
  }
};

/// The sum of n neighbours, in double.
template <class T>
double row_sum(const T* x, std::int64_t n) {
  if (n < kLanes) return std::accumulate(x, x + n, 0.0);
  std::array<double, kLanes> lanes{};
  std::int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
#pragma omp simd
    for (std::int64_t l = 0; l < kLanes; ++l)
      lanes[static_cast<std::size_t>(l)] += static_cast<double>(x[i + l]);
  }
  for (std::int64_t l = 0; i < n; ++i, ++l) lanes[static_cast<std::size_t>(l)] += static_cast<double>(x[i]);
  for (std::size_t half = kLanes / 2; half > 0; half /= 2)
    for (std::size_t l = 0; l < half; ++l) lanes[l] += lanes[l + half];
  return lanes[0];
}

/// The sum of the terms [begin, end) of one element, whose first one is at x.
template <class T>
double sum_terms(const Reduction& plan, const T* x, std::int64_t begin, std::int64_t end) {
  const std::int64_t row = plan.reduced.innermost().extent;
  double sum = 0;
  for (std::int64_t i = begin; i < end;) {
    const std::int64_t n = std::min(end - i, row - i % row);
    sum += row_sum(x + plan.reduced.step_offsets(i)[0], n);
    i += n;
  }
  return sum;
}

/// The same for n <= kColumns elements side by side.
template <class T>
void sum_columns(const Reduction& plan, const T* x, std::int64_t n, std::int64_t begin, std::int64_t end,
                 double* sums) {
  std::fill_n(sums, n, 0.0);
  for (std::int64_t i = begin; i < end; ++i) {
    const T* terms = x + plan.reduced.step_offsets(i)[0];
#pragma omp simd
    for (std::int64_t k = 0; k < n; ++k) sums[k] += static_cast<double>(terms[k]);
  }
}

/// partial[part][element of out]: every piece of every element's terms.
template <class T>
void sum_parts(const Reduction& plan, const T* x, std::int64_t elements, double* partial) {
  if (plan.by_rows) {
    const std::int64_t terms = plan.reduced.numel();
    parallel_for(plan.parts * elements, std::max<std::int64_t>(1, kGrain / std::min(plan.part_size, terms)),
                 [&](std::int64_t begin, std::int64_t end) {
                   for (std::int64_t i = begin; i < end; ++i) {
                     const std::int64_t first = i / elements * plan.part_size;
                     partial[i] = sum_terms(plan, x + plan.kept.step_offsets(i % elements)[0], first,
                                            std::min(terms, first + plan.part_size));
                   }
                 });
    return;
  }
  const std::int64_t terms = plan.reduced.numel();
  const std::int64_t blocks = cpu::task_count(plan.columns, kColumns);
  const std::int64_t rows = elements / plan.columns;
  const std::int64_t work = std::min(plan.columns, kColumns) * std::min(plan.part_size, terms);
  parallel_for(plan.parts * rows * blocks, std::max<std::int64_t>(1, kGrain / work),
               [&](std::int64_t begin, std::int64_t end) {
                 for (std::int64_t i = begin; i < end; ++i) {
                   const std::int64_t column = i % blocks * kColumns;
                   const std::int64_t row = i / blocks % rows;
                   const std::int64_t first = i / blocks / rows * plan.part_size;
                   const std::int64_t n = std::min(kColumns, plan.columns - column);
                   sum_columns(plan, x + plan.kept.row_offsets(row)[0] + column, n, first,
                               std::min(terms, first + plan.part_size),
                               partial + i / blocks * plan.columns + column);
                 }
               });
}

void sum_to_cpu(const Tensor& x, double divisor, Tensor& out) {
  const Reduction plan(x.shape(), out.shape());
  const std::int64_t elements = out.numel();
  Tensor partial({plan.parts, elements}, DType::f64, Tag::workspace);
  double* sums = partial.mutable_data<double>();
  visit_any_float("sum_to", x.dtype(), [&]<class T>(TypeTag<T>) {
    sum_parts(plan, x.data<T>(), elements, sums);
    T* to = out.mutable_data<T>();
    parallel_for(elements, std::max<std::int64_t>(1, kGrain / plan.parts),
                 [=, parts = plan.parts](std::int64_t begin, std::int64_t end) {
                   for (std::int64_t p = 1; p < parts; ++p)
                     for (std::int64_t i = begin; i < end; ++i) sums[i] += sums[p * elements + i];
                   for (std::int64_t i = begin; i < end; ++i) to[i] = static_cast<T>(sums[i] / divisor);
                 });
  });
}

/// The place of the first NaN of a row, else of its first largest element.
template <class T>
std::int64_t argmax_of(const T* row, std::int64_t size) {
  std::int64_t best = 0;
  for (std::int64_t i = 1; i < size && !std::isnan(row[best]); ++i)
    if (!(row[i] <= row[best])) best = i;
  return best;
}

void argmax_cpu(const Tensor& x, Tensor& y) {
  const std::int64_t row = x.shape()[-1];
  visit_any_float("argmax", x.dtype(), [&]<class T>(TypeTag<T>) {
    const T* from = x.data<T>();
    std::int64_t* to = y.mutable_data<std::int64_t>();
    parallel_for(y.numel(), std::max<std::int64_t>(1, kGrain / row),
                 [=](std::int64_t begin, std::int64_t end) {
                   for (std::int64_t r = begin; r < end; ++r) to[r] = argmax_of(from + r * row, row);
                 });
  });
}

/// The elements of a row that come before its element `label`; comparisons are written so that NaNs do.
template <class T>
std::int64_t rank_in(const T* row, std::int64_t size, std::int64_t label) {
  if (label < 0 || label >= size || std::isnan(row[label])) return size;
  const T own = row[label];
  return std::count_if(row, row + label, [own](T v) { return !(v < own); }) +
         std::count_if(row + label + 1, row + size, [own](T v) { return !(v <= own); });
}

void label_rank_cpu(const Tensor& x, const Tensor& labels, Tensor& y) {
  const std::int64_t row = x.shape()[1];
  visit_any_float("label_rank", x.dtype(), [&]<class T>(TypeTag<T>) {
    const T* from = x.data<T>();
    const std::int64_t* label = labels.data<std::int64_t>();
    std::int64_t* to = y.mutable_data<std::int64_t>();
    parallel_for(y.numel(), std::max<std::int64_t>(1, kGrain / row),
                 [=](std::int64_t begin, std::int64_t end) {
                   for (std::int64_t r = begin; r < end; ++r) to[r] = rank_in(from + r * row, row, label[r]);
                 });
  });
}

}  // namespace

constinit decltype(kernel::sum_to) kernel::sum_to{&sum_to_cpu};
constinit decltype(kernel::argmax) kernel::argmax{&argmax_cpu};
constinit decltype(kernel::label_rank) kernel::label_rank{&label_rank_cpu};

}  // namespace retrace
