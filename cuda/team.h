#pragma once
// Internal: who works on an item, such as a row or an element of a sum: one thread, or a block together.
// Kernels are written once for both:
//   for (auto item = Team::first_item(); item < items; item += Team::item_step())
//     for (auto i = Team::rank(); i < size; i += Team::kSize) ...
#include <retrace/cuda/gpu.h>

namespace retrace::cuda {

/// A thread alone: for few terms, or where neighbouring threads read neighbours.
struct OneThread {
  static constexpr int kSize = 1;
  static std::int64_t blocks_for(std::int64_t items) { return cuda::blocks_for(items); }
  __device__ static std::int64_t first_item() { return thread_index(); }
  __device__ static std::int64_t item_step() { return thread_count(); }
  __device__ static std::int64_t rank() { return 0; }
  template <class V>
  __device__ static V sum(V value) {
    return value;
  }
  template <class V>
  __device__ static V max(V value) {
    return value;
  }
};

/// All threads of a block, which read neighbours together. All call sum and max, and get the result.
struct OneBlock {
  static constexpr int kSize = kThreads;
  static std::int64_t blocks_for(std::int64_t items) { return cuda::blocks_for(items, 1); }
  __device__ static std::int64_t first_item() { return blockIdx.x; }
  __device__ static std::int64_t item_step() { return gridDim.x; }
  __device__ static std::int64_t rank() { return threadIdx.x; }
  template <class V>
  __device__ static V sum(V value) {
    return block_sum<kThreads>(value);
  }
  template <class V>
  __device__ static V max(V value) {
    return block_max<kThreads>(value);
  }
};

/// From how many terms of an item on a block is worth it.
inline constexpr std::int64_t kTermsForBlock = 64;

/// Calls f(team) for items of `size` terms, with the team that suits them: a block for many that are
/// neighbours.
template <class F>
void with_team(std::int64_t size, bool neighbours, const F& f) {
  if (neighbours && size >= kTermsForBlock)
    f(OneBlock{});
  else
    f(OneThread{});
}

}  // namespace retrace::cuda
