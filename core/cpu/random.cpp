#include <retrace/core/cpu/parallel.h>
#include <retrace/core/kernels.h>

#include <array>
#include <cmath>
#include <numbers>

namespace retrace {

namespace {

using cpu::kGrain;
using cpu::parallel_for;

constexpr std::int64_t kWords = 4;  // random words of one block
static_assert(kGrain % kWords == 0, "tasks must begin with a block");

/// to[i] = f(words of i's block)[i % 4] for i < n: element i is a function of the stream and i alone.
template <class F, class Store>
void for_each_block(const RandomStream& stream, std::int64_t n, F f, Store store) {
  parallel_for(n, kGrain, [=](std::int64_t begin, std::int64_t end) {
    for (std::int64_t b = begin; b < end; b += kWords) {
      const auto numbers = f(philox(stream, static_cast<std::uint64_t>(b / kWords)));
      for (std::int64_t k = 0; k < std::min(kWords, end - b); ++k)
        store(b + k, numbers[static_cast<std::size_t>(k)]);
    }
  });
}

// Numbers are made in double whatever y's type is, so that f32 draws are f64 draws, rounded.

/// 24 bits, as uniform_at().
std::array<double, 4> uniforms(const std::array<std::uint32_t, 4>& words) {
  std::array<double, 4> result;
  for (std::size_t k = 0; k < 4; ++k) result[k] = (words[k] >> 8) * 0x1p-24;
  return result;
}

/// Box and Muller: two independent normal numbers from two uniform ones, the first of them in (0, 1].
std::array<double, 4> normals(const std::array<std::uint32_t, 4>& words) {
  std::array<double, 4> result;
  for (std::size_t k = 0; k < 4; k += 2) {
    const double radius = std::sqrt(-2 * std::log((words[k] + 1.0) * 0x1p-32));
    const double angle = 2 * std::numbers::pi * (words[k + 1] * 0x1p-32);
    result[k] = radius * std::cos(angle);
    result[k + 1] = radius * std::sin(angle);
  }
  return result;
}

void uniform_cpu(const RandomStream& stream, double low, double high, Tensor& y) {
  visit_float("uniform", y.dtype(), [&]<class T>(TypeTag<T>) {
    T* to = y.mutable_data<T>();
    for_each_block(stream, y.numel(), uniforms,
                   [=](std::int64_t i, double u) { to[i] = static_cast<T>(low + (high - low) * u); });
  });
}

void normal_cpu(const RandomStream& stream, double mean, double std, Tensor& y) {
  visit_float("normal", y.dtype(), [&]<class T>(TypeTag<T>) {
    T* to = y.mutable_data<T>();
    for_each_block(stream, y.numel(), normals,
                   [=](std::int64_t i, double z) { to[i] = static_cast<T>(mean + std * z); });
  });
}

void dropout_cpu(const Tensor& x, const RandomStream& stream, double p, Tensor& y) {
  visit_float("dropout", x.dtype(), [&]<class T>(TypeTag<T>) {
    const T* from = x.data<T>();
    T* to = y.mutable_data<T>();
    const T scale = static_cast<T>(1 / (1 - p));
    const auto threshold = static_cast<std::uint32_t>(std::ceil(p * 0x1p24));
    for_each_block(
        stream, x.numel(), [](const std::array<std::uint32_t, 4>& words) { return words; },
        [=](std::int64_t i, std::uint32_t word) { to[i] = word >> 8 < threshold ? T{0} : scale * from[i]; });
  });
}

}  // namespace

constinit decltype(kernel::uniform) kernel::uniform{&uniform_cpu};
constinit decltype(kernel::normal) kernel::normal{&normal_cpu};
constinit decltype(kernel::dropout) kernel::dropout{&dropout_cpu};

}  // namespace retrace
