#pragma once
// Internal: lines of the cache on their way while products are made.
#include <cstdint>

namespace retrace::cpu::winograd {

/// The lines of the cache with the pixels of some vectors of tiles, in all channels, which a transform will
/// read or write next. They are fetched few by few while products, which need no memory, keep the core busy:
/// all at once would be more than it can wait for.
template <bool kWritten>
class Fetch {
 public:
  /// Of `channels` channels, the first one's first pixel at `data`. The lines are shared out to `pieces`
  /// calls of `piece`.
  template <class Planes>
  Fetch(const Planes& planes, const float* data, std::int64_t channels, std::int64_t begin, std::int64_t end,
        std::int64_t pieces)
      : data_(data),
        plane_(planes.plane()),
        channels_(planes.channels()),
        pixels_(Planes::kVectorPixels),
        small_(plane_ < pixels_),
        vector_(begin),
        pieces_(pieces),
        runs_(small_ ? pixels_ / plane_ : channels),
        run_lines_(pixels_ / kLinePixels * channels / runs_),
        lines_((end - begin) * pixels_ / kLinePixels * channels) {}

  // Inlined, because the compilers drop calls of a function that only fetches.
  [[gnu::always_inline]] void piece() {
    for (const std::int64_t last = lines_ * ++piece_ / pieces_; done_ < last; ++done_, ++line_, --left_) {
      if (left_ == 0) begin_run();
      __builtin_prefetch(reinterpret_cast<const void*>(line_ * kLineBytes), kWritten, kWritten ? 3 : 2);
    }
  }

 private:
  static constexpr std::uintptr_t kLineBytes = 64;
  static constexpr std::int64_t kLinePixels = kLineBytes / sizeof(float);

  /// A run is what lies together in memory of a vector: its pixels of a channel, or all of a small image.
  void begin_run() {
    const std::int64_t pixel = vector_ * pixels_;
    const std::int64_t image = pixel / plane_ + (small_ ? run_ : 0);
    const std::int64_t channel = small_ ? 0 : run_;
    const float* first = data_ + (image * channels_ + channel) * plane_ + pixel % plane_;
    line_ = reinterpret_cast<std::uintptr_t>(first) / kLineBytes;
    left_ = run_lines_;
    if (++run_ == runs_) {
      run_ = 0;
      ++vector_;
    }
  }

  const float* data_;
  std::int64_t plane_, channels_, pixels_;
  bool small_;
  std::int64_t vector_, pieces_, runs_, run_lines_, lines_;
  std::int64_t piece_ = 0, done_ = 0, run_ = 0, left_ = 0;
  std::uintptr_t line_ = 0;
};

}  // namespace retrace::cpu::winograd
