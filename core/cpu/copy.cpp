#include <retrace/core/convert.h>
#include <retrace/core/cpu/parallel.h>
#include <retrace/core/kernels.h>
#include <retrace/core/loops.h>

#include <algorithm>
#include <cstring>

namespace retrace {

namespace {

using cpu::kGrain;
using cpu::parallel_for;

void copy_cpu(const Tensor& x, Tensor& y) {
  visit(x.dtype(), [&]<class T>(TypeTag<T>) {
    const T* from = x.data<T>();
    T* to = y.mutable_data<T>();
    if (x.shares_storage(y)) {  // perhaps the same bytes, moved
      std::memmove(to, from, static_cast<std::size_t>(x.bytes()));
      return;
    }
    parallel_for(x.numel(), kGrain, [=](std::int64_t begin, std::int64_t end) {
      std::copy(from + begin, from + end, to + begin);
    });
  });
}

void fill_cpu(Tensor& y, double value) {
  visit(y.dtype(), [&]<class T>(TypeTag<T>) {
    T* to = y.mutable_data<T>();
    parallel_for(y.numel(), kGrain, [=, v = convert_to<T>(value)](std::int64_t begin, std::int64_t end) {
      std::fill(to + begin, to + end, v);
    });
  });
}

/// Where row (o, j) of a slice of one dimension lies, in the whole tensor and in the slice.
struct SliceRows {
  std::int64_t rows;  // of `run` elements
  std::int64_t run;
  std::int64_t count;  // rows in each outer index
  std::int64_t first;  // offset of row (0, 0) in the whole
  std::int64_t outer_stride;
  std::int64_t row_stride;

  /// A step of 1 makes the rows of an outer index one run.
  SliceRows(const Shape& whole, const Shape& part, int dim, std::int64_t begin, std::int64_t step) {
    const std::int64_t inner = whole.numel_after(dim);
    count = step == 1 ? 1 : part[dim];
    run = step == 1 ? part[dim] * inner : inner;
    rows = part.numel() / run;
    first = begin * inner;
    outer_stride = whole[dim] * inner;
    row_stride = step * inner;
  }
  std::int64_t in_whole(std::int64_t row) const {
    return first + row / count * outer_stride + row % count * row_stride;
  }
};

/// Calls `body(row in the whole, row in the part, elements)` for runs that together are the slice.
template <class Body>
void for_each_run(const SliceRows& slice, const Body& body) {
  const std::int64_t pieces = cpu::task_count(slice.run, kGrain);  // of a long run
  const std::int64_t length = cpu::task_count(slice.run, pieces);
  parallel_for(slice.rows * pieces, std::max<std::int64_t>(1, kGrain / length),
               [&](std::int64_t begin, std::int64_t end) {
                 for (std::int64_t i = begin; i < end; ++i) {
                   const std::int64_t row = i / pieces;
                   const std::int64_t offset = i % pieces * length;
                   body(slice.in_whole(row) + offset, row * slice.run + offset,
                        std::min(length, slice.run - offset));
                 }
               });
}

/// The same for single elements: `body(first in the whole, first in the part, elements)`, row_stride apart in
/// the whole.
template <class Body>
void for_each_comb(const SliceRows& slice, const Body& body) {
  parallel_for(slice.rows / slice.count, std::max<std::int64_t>(1, kGrain / slice.count),
               [&](std::int64_t begin, std::int64_t end) {
                 for (std::int64_t o = begin; o < end; ++o)
                   body(slice.first + o * slice.outer_stride, o * slice.count, slice.count);
               });
}

void slice_copy_cpu(const Tensor& x, int dim, std::int64_t begin, std::int64_t step, Tensor& y) {
  const SliceRows slice(x.shape(), y.shape(), dim, begin, step);
  visit(x.dtype(), [&]<class T>(TypeTag<T>) {
    const T* whole = x.data<T>();
    T* part = y.mutable_data<T>();
    if (slice.run == 1) {
      for_each_comb(slice, [=](std::int64_t from, std::int64_t to, std::int64_t count) {
        for (std::int64_t j = 0; j < count; ++j) part[to + j] = whole[from + j * slice.row_stride];
      });
      return;
    }
    for_each_run(slice, [=](std::int64_t from, std::int64_t to, std::int64_t count) {
      std::copy_n(whole + from, count, part + to);
    });
  });
}

void slice_write_cpu(const Tensor& y, int dim, std::int64_t begin, std::int64_t step, Tensor& x) {
  const SliceRows slice(x.shape(), y.shape(), dim, begin, step);
  visit(x.dtype(), [&]<class T>(TypeTag<T>) {
    const T* part = y.data<T>();
    T* whole = x.mutable_data<T>();
    if (slice.run == 1) {
      for_each_comb(slice, [=](std::int64_t to, std::int64_t from, std::int64_t count) {
        for (std::int64_t j = 0; j < count; ++j) whole[to + j * slice.row_stride] = part[from + j];
      });
      return;
    }
    for_each_run(slice, [=](std::int64_t to, std::int64_t from, std::int64_t count) {
      std::copy_n(part + from, count, whole + to);
    });
  });
}

constexpr std::int64_t kTile = 32;

/// y's rows, of its innermost dimension, are runs in x or combs in x. Neighbouring combs lie side by side in
/// x, so that a row is cut into tiles which the cache holds until the neighbours have read their part too.
template <class T>
void permute_rows(const detail::Loops<1>& loops, const T* x, T* y, std::int64_t begin, std::int64_t end) {
  const std::int64_t row = loops.innermost().extent;
  const std::int64_t step = loops.innermost().strides[0];
  if (step == 1) {
    for (std::int64_t r = begin; r < end; ++r) std::copy_n(x + loops.row_offsets(r)[0], row, y + r * row);
    return;
  }
  std::array<std::int64_t, kTile> starts;
  for (std::int64_t r = begin; r < end; r += kTile) {
    const std::int64_t rows = std::min(kTile, end - r);
    for (std::int64_t i = 0; i < rows; ++i) starts[static_cast<std::size_t>(i)] = loops.row_offsets(r + i)[0];
    for (std::int64_t j0 = 0; j0 < row; j0 += kTile) {
      const std::int64_t j1 = std::min(row, j0 + kTile);
      for (std::int64_t i = 0; i < rows; ++i) {
        const T* from = x + starts[static_cast<std::size_t>(i)];
        for (std::int64_t j = j0; j < j1; ++j) y[(r + i) * row + j] = from[j * step];
      }
    }
  }
}

void permute_cpu(const Tensor& x, const Permutation& dims, Tensor& y) {
  detail::Loops<1> loops;
  for (int d = 0; d < dims.rank; ++d)
    loops.push({.extent = y.shape()[d], .strides = {x.shape().numel_after(dims[d])}});
  const std::int64_t row = loops.innermost().extent;
  visit(x.dtype(), [&]<class T>(TypeTag<T>) {
    const T* from = x.data<T>();
    T* to = y.mutable_data<T>();
    parallel_for(x.numel() / row, std::max<std::int64_t>(kTile, kGrain / row),
                 [&](std::int64_t begin, std::int64_t end) { permute_rows(loops, from, to, begin, end); });
  });
}

}  // namespace

constinit decltype(kernel::copy) kernel::copy{&copy_cpu};
constinit decltype(kernel::fill) kernel::fill{&fill_cpu};
constinit decltype(kernel::slice_copy) kernel::slice_copy{&slice_copy_cpu};
constinit decltype(kernel::slice_write) kernel::slice_write{&slice_write_cpu};
constinit decltype(kernel::permute) kernel::permute{&permute_cpu};

}  // namespace retrace
