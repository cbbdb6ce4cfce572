#pragma once
// How the stand-ins of the libraries read and write the device's numbers: in double.
#include <retrace/core/dtype.h>

namespace retrace::gpu_host {

inline double load(DType type, const void* data, std::int64_t at) {
  return visit(type, [&]<class T>(TypeTag<T>) -> double { return static_cast<const T*>(data)[at]; });
}
inline void store(DType type, void* data, std::int64_t at, double value) {
  visit(type, [&]<class T>(TypeTag<T>) { static_cast<T*>(data)[at] = static_cast<T>(value); });
}

inline double rounded(DType type, double value) {
  return visit(type, [&]<class T>(TypeTag<T>) { return static_cast<double>(static_cast<T>(value)); });
}

}  // namespace retrace::gpu_host
