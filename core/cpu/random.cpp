#include <retrace/core/cpu/parallel.h>
#include <retrace/core/cpu/reduced_float.h>
#include <retrace/core/kernels.h>
#include <retrace/core/philox.h>

#include <array>
#include <cmath>
#include <numbers>

namespace retrace {

namespace {

using cpu::kGrain;
using cpu::parallel_for;

constexpr std::int64_t kBlocks = 16;          // that are drawn together
constexpr std::int64_t kBatch = 4 * kBlocks;  // numbers in them
static_assert(kGrain % kBatch == 0, "tasks must begin with a batch");

using Words = std::array<std::uint32_t, kBatch>;

/// Calls `body(words, b, n)` for every batch of a tensor with `numel` elements: words[i] belongs to element b
/// + i, i < n. Element i is a function of the stream and i alone.
template <class Body>
void for_each_batch(const RandomStream& stream, std::int64_t numel, Body body) {
  parallel_for(numel, kGrain, [=](std::int64_t begin, std::int64_t end) {
    Words words;
    for (std::int64_t b = begin; b < end; b += kBatch) {
      const auto drawn = detail::philox_blocks<kBlocks>(stream, static_cast<std::uint64_t>(b / 4));
      for (std::size_t block = 0; block < kBlocks; ++block)
        for (std::size_t k = 0; k < 4; ++k) words[4 * block + k] = drawn[k][block];
      body(words, b, std::min(kBatch, end - b));
    }
  });
}

// Numbers are made in double whatever y's type is, so that f32 draws are f64 draws, rounded.

void uniform_cpu(const RandomStream& stream, double low, double high, Tensor& y) {
  visit_float("uniform", y.dtype(), [&]<class T>(TypeTag<T>) {
    for_each_batch(
        stream, y.numel(), [=, to = y.mutable_data<T>()](const Words& words, std::int64_t b, std::int64_t n) {
#pragma omp simd
          for (std::int64_t i = 0; i < n; ++i)
            to[b + i] =
                static_cast<T>(low + (high - low) * ((words[static_cast<std::size_t>(i)] >> 8) * 0x1p-24));
        });
  });
}

/// Box and Muller: a uniform number in (0, 1] and one in [0, 1) make two independent normal numbers.
std::array<double, 2> normal_pair(std::uint32_t first, std::uint32_t second) {
  const double radius = std::sqrt(-2 * std::log((first + 1.0) * 0x1p-32));
  const double angle = 2 * std::numbers::pi * (second * 0x1p-32);
  return {radius * std::cos(angle), radius * std::sin(angle)};
}

void normal_cpu(const RandomStream& stream, double mean, double std, Tensor& y) {
  visit_float("normal", y.dtype(), [&]<class T>(TypeTag<T>) {
    for_each_batch(stream, y.numel(),
                   [=, to = y.mutable_data<T>()](const Words& words, std::int64_t b, std::int64_t n) {
                     for (std::int64_t i = 0; i < n; i += 2) {
                       const auto w = static_cast<std::size_t>(i);
                       const std::array<double, 2> pair = normal_pair(words[w], words[w + 1]);
                       to[b + i] = static_cast<T>(mean + std * pair[0]);
                       if (i + 1 < n) to[b + i + 1] = static_cast<T>(mean + std * pair[1]);
                     }
                   });
  });
}

void dropout_cpu(const Tensor& x, const RandomStream& stream, double p, Tensor& y) {
  visit_any_float("dropout", x.dtype(), [&]<class T>(TypeTag<T>) {
    const T* from = x.data<T>();
    T* to = y.mutable_data<T>();
    const auto scale = static_cast<Compute<T>>(1 / (1 - p));
    const auto threshold = static_cast<std::uint32_t>(std::ceil(p * 0x1p24));  // of a word's upper 24 bits
    for_each_batch(stream, x.numel(), [=](const Words& words, std::int64_t b, std::int64_t n) {
#pragma omp simd
      for (std::int64_t i = 0; i < n; ++i)
        cpu::put(to[b + i], (words[static_cast<std::size_t>(i)] >> 8 < threshold ? 0 : scale) * from[b + i]);
    });
  });
}

}  // namespace

constinit decltype(kernel::uniform) kernel::uniform{&uniform_cpu};
constinit decltype(kernel::normal) kernel::normal{&normal_cpu};
constinit decltype(kernel::dropout) kernel::dropout{&dropout_cpu};

}  // namespace retrace
