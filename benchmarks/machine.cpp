#include <retrace/benchmarks/machine.h>
#include <retrace/core/cpu/parallel.h>
#include <retrace/core/cpu/simd.h>
#include <retrace/core/kernels.h>
#include <retrace/cuda/device.h>

#include <vector>

namespace retrace::benchmarks {

namespace {

// Enough to hide the latency of a multiply-add, and few enough for 16 registers.
constexpr int kChains = 10;
constexpr std::int64_t kRounds = 1'000'000;

float multiply_add_chains(float factor, float summand) {
  using cpu::Vec;
  const Vec<float> m = cpu::splat(factor);
  const Vec<float> b = cpu::splat(summand);
  Vec<float> chain[kChains];
  for (int k = 0; k < kChains; ++k) chain[k] = cpu::splat(static_cast<float>(k));
  for (std::int64_t round = 0; round < kRounds; ++round) {
#pragma GCC unroll 10
    for (int k = 0; k < kChains; ++k) chain[k] = chain[k] * m + b;
  }
  Vec<float> sum = chain[0];
  for (int k = 1; k < kChains; ++k) sum += chain[k];
  return cpu::sum_lanes<float>(sum);
}

}  // namespace

double multiply_add_gflops(Device device) {
  if (device.kind() == DeviceKind::cuda) return cuda::properties(device).gflops;
  // Read at run time, so that the compiler can't know the result.
  const volatile float factor = 0.5F;
  const volatile float summand = 0.25F;
  const int threads = num_threads();
  std::vector<float> results(static_cast<std::size_t>(threads));
  const double seconds = cuda::seconds_of(device, [&] {
    cpu::parallel_for(threads, 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t t = begin; t < end; ++t)
        results[static_cast<std::size_t>(t)] = multiply_add_chains(factor, summand);
    });
  });
  const volatile float keep = results.front();
  static_cast<void>(keep);
  return 2e-9 * threads * kRounds * kChains * cpu::kLanes<float> / seconds;
}

CopySpeed::CopySpeed(double bytes, Device device)
    : from_(Tensor::full({static_cast<std::int64_t>(bytes / 2 / sizeof(float)) + 1}, 1, DType::f32, Tag::data,
                         device)),
      to_(like(from_, Tag::data)) {}

double CopySpeed::gbytes_per_s() {
  const double seconds = cuda::seconds_of(from_.device(), [&] { kernel::copy(from_, to_); });
  return 2e-9 * static_cast<double>(from_.bytes()) / seconds;
}

}  // namespace retrace::benchmarks
