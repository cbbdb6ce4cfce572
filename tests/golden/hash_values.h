#pragma once
// The numbers of hash_values.py, bit for bit: weights and images that need not be stored.
#include <retrace/core/tensor.h>

#include <cmath>
#include <cstdint>
#include <string_view>

namespace retrace::test {

/// The 64-bit FNV-1a hash of a name.
constexpr std::uint64_t fnv1a(std::string_view name) {
  std::uint64_t key = 0xcbf29ce484222325;
  for (const char byte : name) key = (key ^ static_cast<unsigned char>(byte)) * 0x100000001b3;
  return key;
}

/// Bits that depend on all bits of x.
constexpr std::uint64_t mix(std::uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

/// The upper 53 bits of mix(fnv1a(name) + (i + 1) g).
constexpr std::uint64_t hash_bits(std::string_view name, std::uint64_t i) {
  return mix(fnv1a(name) + (i + 1) * 0x9e3779b97f4a7c15) >> 11;
}

/// f64 numbers in [-1, 1).
inline Tensor hash_values(std::string_view name, const Shape& shape) {
  Tensor x(shape, DType::f64);
  std::uint64_t i = 0;
  for (double& value : x.mutable_values<double>())
    value = static_cast<double>(hash_bits(name, i++)) * 0x1p-52 - 1;
  return x;
}

inline Tensor hash_labels(std::string_view name, std::int64_t count, std::uint64_t classes) {
  Tensor labels({count}, DType::i64);
  std::uint64_t i = 0;
  for (std::int64_t& label : labels.mutable_values<std::int64_t>())
    label = static_cast<std::int64_t>(hash_bits(name, i++) % classes);
  return labels;
}

/// A network's parameter: the kernels of convolutions have variance 2 / fan in, scales of norms are near 1,
/// shifts and biases near 0.
inline Tensor hash_weight(std::string_view name, const Shape& shape) {
  const std::int64_t fan_in = shape.numel() / shape[0];
  double factor = 0.25;
  if (shape.rank() == 4) factor = std::sqrt(6 / static_cast<double>(fan_in));
  if (shape.rank() == 2) factor = std::sqrt(3 / static_cast<double>(fan_in));
  const double shift = shape.rank() == 1 && name.ends_with("weight") ? 1 : 0;
  Tensor w = hash_values(name, shape);
  for (double& value : w.mutable_values<double>()) value = shift + factor * value;
  return w;
}

}  // namespace retrace::test
