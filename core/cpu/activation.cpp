#include <retrace/core/cpu/mask.h>
#include <retrace/core/cpu/parallel.h>
#include <retrace/core/cpu/reduced_float.h>
#include <retrace/core/data_or_null.h>
#include <retrace/core/kernels.h>

#include <array>
#include <cmath>

namespace retrace {

namespace {

using cpu::kGrain;
using cpu::parallel_for;

constexpr std::int64_t kBlock = 64;  // elements whose mask bytes are packed together
static_assert(kGrain % kBlock == 0, "tasks must begin with a byte of the mask");

/// bits[i] = keeps(x[i]) for n elements, n <= kBlock; bits beyond n are 0.
template <class T, class Keeps>
void write_mask(const T* x, std::int64_t n, std::uint8_t* bits, Keeps keeps) {
  std::array<std::uint8_t, kBlock> flags;
  if (n < kBlock) flags.fill(0);
#pragma omp simd
  for (std::int64_t i = 0; i < n; ++i)
    flags[static_cast<std::size_t>(i)] = static_cast<std::uint8_t>(keeps(static_cast<Compute<T>>(x[i])));
  for (std::int64_t i = 0; i < n; i += 8) bits[i / 8] = cpu::pack(&flags[static_cast<std::size_t>(i)]);
}

/// Bytes of one bit an element.
std::int64_t mask_bytes(const Tensor& x) { return (x.numel() + 7) / 8; }

/// y[i] = f(x[i]), and where a mask is defined, a row of the bits keeps(x[i]) for each `keeps`, read before y
/// is written over x.
template <class T, class F, class... Keeps>
void map_masked(const Tensor& x, Tensor& y, Tensor& mask, F f, Keeps... keeps) {
  const T* from = x.data<T>();
  T* to = y.mutable_data<T>();
  std::uint8_t* bits = detail::mutable_data_or_null<std::uint8_t>(mask);
  const std::int64_t row = mask_bytes(x);
  parallel_for(x.numel(), kGrain, [=](std::int64_t begin, std::int64_t end) {
    for (std::int64_t b = begin; b < end; b += kBlock) {
      const std::int64_t n = std::min(kBlock, end - b);
      if (bits != nullptr) {
        std::int64_t at = b / 8;
        ((write_mask(from + b, n, bits + at, keeps), at += row), ...);
      }
#pragma omp simd
      for (std::int64_t i = b; i < b + n; ++i) cpu::put(to[i], f(static_cast<Compute<T>>(from[i])));
    }
  });
}

// A NaN stays one: comparisons are written so that they fail towards x.

void relu_cpu(const Tensor& x, Tensor& y, Tensor& mask) {
  visit_any_float("relu", x.dtype(), [&]<class T>(TypeTag<T>) {
    map_masked<T>(
        x, y, mask, [](auto v) { return 0 > v ? 0 : v; }, [](auto v) { return !(v <= 0); });
  });
}

void leaky_relu_cpu(const Tensor& x, double slope, Tensor& y, Tensor& mask) {
  visit_any_float("leaky_relu", x.dtype(), [&]<class T>(TypeTag<T>) {
    map_masked<T>(
        x, y, mask, [s = static_cast<Compute<T>>(slope)](auto v) { return v > 0 ? v : s * v; },
        [](auto v) { return v > 0; });
  });
}

void clamp_cpu(const Tensor& x, double low, double high, Tensor& y, Tensor& mask) {
  visit_any_float("clamp", x.dtype(), [&]<class T>(TypeTag<T>) {
    const auto lo = static_cast<Compute<T>>(low);
    const auto hi = static_cast<Compute<T>>(high);
    map_masked<T>(
        x, y, mask, [=](auto v) { return lo > v   ? lo
                                         : hi < v ? hi
                                                  : v; },
        [=](auto v) { return (v >= lo) & (v <= hi); });
  });
}

/// to[i] = from[i] where bit i is set, else other(from[i]), for [begin, end). Not inlined: inside of a
/// parallel region g++ leaves the loop scalar, at a twentieth of the speed.
template <class T, class F>
[[gnu::noinline]] void choose(const std::uint8_t* bits, const T* from, std::int64_t begin, std::int64_t end,
                              F other, T* to) {
  const std::int64_t whole = begin + (end - begin) / 8 * 8;
  for (std::int64_t i = begin; i < whole; i += 8) {
    const std::uint32_t eight = bits[i / 8];
#pragma omp simd
    for (std::uint32_t k = 0; k < 8; ++k)
      to[i + k] = (eight >> k & 1U) != 0 ? from[i + k] : static_cast<T>(other(from[i + k]));
  }
  for (std::int64_t i = whole; i < end; ++i)
    to[i] = (bits[i / 8] >> (i % 8) & 1) != 0 ? from[i] : static_cast<T>(other(from[i]));
}

/// dx[i] = dy[i] where the mask's bit is set, else other(dy[i]).
template <class T, class F>
void map_unmasked(const Tensor& mask, const Tensor& dy, Tensor& dx, F other) {
  const std::uint8_t* bits = mask.data<std::uint8_t>();
  const T* from = dy.data<T>();
  T* to = dx.mutable_data<T>();
  parallel_for(dy.numel(), kGrain,
               [=](std::int64_t begin, std::int64_t end) { choose(bits, from, begin, end, other, to); });
}

void masked_backward_cpu(const Tensor& mask, const Tensor& dy, Tensor& dx) {
  visit_any_float("masked_backward", dy.dtype(),
                  [&]<class T>(TypeTag<T>) { map_unmasked<T>(mask, dy, dx, [](auto) { return 0.0F; }); });
}

void leaky_relu_backward_cpu(const Tensor& mask, const Tensor& dy, double slope, Tensor& dx) {
  visit_any_float("leaky_relu", dy.dtype(), [&]<class T>(TypeTag<T>) {
    map_unmasked<T>(mask, dy, dx, [s = static_cast<Compute<T>>(slope)](T d) { return s * d; });
  });
}

void abs_cpu(const Tensor& x, Tensor& y, Tensor& mask) {
  visit_any_float("abs", x.dtype(), [&]<class T>(TypeTag<T>) {
    map_masked<T>(
        x, y, mask, [](auto v) { return std::abs(v); }, [](auto v) { return v > 0; },
        [](auto v) { return v < 0; });
  });
}

void abs_backward_cpu(const Tensor& mask, const Tensor& dy, Tensor& dx) {
  visit_any_float("abs", dy.dtype(), [&]<class T>(TypeTag<T>) {
    const std::uint8_t* positive = mask.data<std::uint8_t>();
    const std::uint8_t* negative = positive + mask_bytes(dy);
    const T* from = dy.data<T>();
    T* to = dx.mutable_data<T>();
    parallel_for(dy.numel(), kGrain, [=](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; i += 8) {
        const std::uint32_t above = positive[i / 8];
        const std::uint32_t below = negative[i / 8];
        const auto pass = [=](std::uint32_t k, Compute<T> d) {
          return (above >> k & 1U) != 0 ? d : (below >> k & 1U) != 0 ? -d : 0 * d;
        };
        const auto n = static_cast<std::uint32_t>(std::min<std::int64_t>(8, end - i));
        if (n < 8) {
          for (std::uint32_t k = 0; k < n; ++k) cpu::put(to[i + k], pass(k, from[i + k]));
          continue;
        }
#pragma omp simd
        for (std::uint32_t k = 0; k < 8; ++k) cpu::put(to[i + k], pass(k, from[i + k]));
      }
    });
  });
}

}  // namespace

constinit decltype(kernel::relu) kernel::relu{&relu_cpu};
constinit decltype(kernel::leaky_relu) kernel::leaky_relu{&leaky_relu_cpu};
constinit decltype(kernel::clamp) kernel::clamp{&clamp_cpu};
constinit decltype(kernel::masked_backward) kernel::masked_backward{&masked_backward_cpu};
constinit decltype(kernel::leaky_relu_backward) kernel::leaky_relu_backward{&leaky_relu_backward_cpu};
constinit decltype(kernel::abs) kernel::abs{&abs_cpu};
constinit decltype(kernel::abs_backward) kernel::abs_backward{&abs_backward_cpu};

}  // namespace retrace
