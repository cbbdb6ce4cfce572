#include <retrace/core/cpu/matrix.h>
#include <retrace/core/cpu/parallel.h>
#include <retrace/core/cpu/reduced_float.h>
#include <retrace/core/kernels.h>

#include <algorithm>

namespace retrace {

namespace {

/// One task computes at most so many rows and columns of one product.
constexpr std::int64_t kTileRows = 96;
constexpr std::int64_t kTileColumns = 512;
/// Smaller products share a task until it has about this many multiplications.
constexpr std::int64_t kTaskProducts = std::int64_t{1} << 18;

/// The number of the matrix of `x` that belongs to matrix `batch` of `out`.
std::int64_t broadcast_matrix(const Shape& x, const Shape& out, std::int64_t batch) {
  std::int64_t matrix = 0;
  std::int64_t stride = 1;
  for (int d = 3; d <= out.rank() && d <= x.rank(); ++d) {
    matrix += x[-d] == 1 ? 0 : batch % out[-d] * stride;
    batch /= out[-d];
    stride *= x[-d];
  }
  return matrix;
}

/// One tile of out = op(a) op(b), where the stored matrices have rows of a_columns and b_columns elements.
template <class T>
struct Product {
  MatmulOptions options;
  std::int64_t rows, columns, depth;

  void operator()(const T* a, const T* b, T* out, std::int64_t row, std::int64_t column) const {
    const std::int64_t m = std::min(kTileRows, rows - row);
    const std::int64_t n = std::min(kTileColumns, columns - column);
    auto y = cpu::matrix(out + row * columns + column, m, n, columns);
    const auto with_b = [&](const auto& left) {
      if (options.transpose_b)
        y.noalias() = left * cpu::matrix(b + column * depth, n, depth, depth).transpose();
      else
        y.noalias() = left * cpu::matrix(b + column, depth, n, columns);
    };
    if (options.transpose_a)
      with_b(cpu::matrix(a + row, depth, m, rows).transpose());
    else
      with_b(cpu::matrix(a + row * depth, m, depth, depth));
  }
};

template <class T>
void matmul(const Tensor& a, const Tensor& b, const MatmulOptions& options, Tensor& out) {
  const Shape shape = out.shape();
  const Product<T> product{options, shape[-2], shape[-1], a.shape()[options.transpose_a ? -2 : -1]};
  const std::int64_t tile_rows = cpu::task_count(product.rows, kTileRows);
  const std::int64_t tiles = tile_rows * cpu::task_count(product.columns, kTileColumns);
  const std::int64_t batches = shape.numel() / (product.rows * product.columns);
  const std::int64_t tile_products =
      std::min(product.rows, kTileRows) * std::min(product.columns, kTileColumns) * product.depth;
  const T* from_a = a.data<T>();
  const T* from_b = b.data<T>();
  T* to = out.mutable_data<T>();
  const Shape a_shape = a.shape();
  const Shape b_shape = b.shape();
  const std::int64_t grain = std::max<std::int64_t>(1, kTaskProducts / tile_products);
  cpu::parallel_for(batches * tiles, grain, [=](std::int64_t begin, std::int64_t end) {
    for (std::int64_t task = begin; task < end; ++task) {
      const std::int64_t batch = task / tiles;
      const std::int64_t tile = task % tiles;
      product(from_a + broadcast_matrix(a_shape, shape, batch) * product.rows * product.depth,
              from_b + broadcast_matrix(b_shape, shape, batch) * product.depth * product.columns,
              to + batch * product.rows * product.columns, tile % tile_rows * kTileRows,
              tile / tile_rows * kTileColumns);
    }
  });
}

void matmul_cpu(const Tensor& a, const Tensor& b, const Tensor& bias, const MatmulOptions& options,
                Tensor& out) {
  if (is_reduced_float(a.dtype())) {
    Tensor wide = cpu::wide_tensor(out.shape());
    matmul_cpu(cpu::widened(a), cpu::widened(b), cpu::widened(bias), options, wide);
    cpu::round_into(wide, out);
    return;
  }
  visit_float("matmul", a.dtype(), [&]<class T>(TypeTag<T>) { matmul<T>(a, b, options, out); });
  if (bias.defined()) kernel::add(out, bias, out);
}

}  // namespace

constinit decltype(kernel::matmul) kernel::matmul{&matmul_cpu};

}  // namespace retrace
