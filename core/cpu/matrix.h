#pragma once
// Internal: dense matrices in raw memory, multiplied by Eigen on the calling thread.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"  // g++ 12 in its own AVX-512 intrinsics
#endif
#include <Eigen/Core>
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif

#include <cstdint>

namespace retrace::cpu {

template <class T>
using RowMajor = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
template <class T>
using MatrixMap = Eigen::Map<RowMajor<T>, Eigen::Unaligned, Eigen::OuterStride<>>;
template <class T>
using ConstMatrixMap = Eigen::Map<const RowMajor<T>, Eigen::Unaligned, Eigen::OuterStride<>>;

/// A rows x columns matrix whose rows start `stride` elements apart.
template <class T>
MatrixMap<T> matrix(T* data, std::int64_t rows, std::int64_t columns, std::int64_t stride) {
  return MatrixMap<T>(data, rows, columns, Eigen::OuterStride<>(stride));
}
template <class T>
ConstMatrixMap<T> matrix(const T* data, std::int64_t rows, std::int64_t columns, std::int64_t stride) {
  return ConstMatrixMap<T>(data, rows, columns, Eigen::OuterStride<>(stride));
}

}  // namespace retrace::cpu
