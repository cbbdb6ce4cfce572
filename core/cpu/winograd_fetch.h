#pragma once
// Internal: lines of the cache on their way while products are made.
#include <algorithm>
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
        pixel_(begin * pixels_),
        end_(end * pixels_),
        pieces_(pieces),
        runs_(small_ ? pixels_ / plane_ : channels),
        run_lines_(pixels_ / kLinePixels * channels / runs_),
        lines_((end - begin) * pixels_ / kLinePixels * channels) {}

  // Inlined, because the compilers drop calls of a function that only fetches. Without divisions and with few
  // steps for a line: lines are many beside the products.
  [[gnu::always_inline]] void piece() {
    for (due_ += lines_; due_ >= kTogether * pieces_; due_ -= kTogether * pieces_) {
      if (left_ <= 0 && !begin_run()) return;
#pragma GCC unroll 4
      for (std::uintptr_t k = 0; k < kTogether; ++k)
        __builtin_prefetch(reinterpret_cast<const void*>((line_ + k) * kLineBytes), kWritten,
                           kWritten ? 3 : 2);
      line_ += kTogether;
      left_ -= kTogether;
    }
  }

 private:
  static constexpr std::uintptr_t kLineBytes = 64;
  static constexpr int kTogether = 4;  ///< lines; a few behind the end of a run may be among them
  static constexpr std::int64_t kLinePixels = kLineBytes / sizeof(float);

  /// A run is what lies together in memory: pixels of a channel, of as many vectors as an image has of them,
  /// or all of a small image. Says whether there is one more.
  bool begin_run() {
    if (run_ == 0) {
      if (pixel_ >= end_) return false;
      const std::int64_t in_image = pixel_ % plane_;
      run_begin_ = data_ + pixel_ / plane_ * channels_ * plane_ + in_image;
      const std::int64_t pixels = small_ ? pixels_ : std::min(end_ - pixel_, plane_ - in_image);
      if (!small_) run_lines_ = pixels / kLinePixels;
      pixel_ += pixels;
    }
    line_ = reinterpret_cast<std::uintptr_t>(run_begin_) / kLineBytes;
    left_ = run_lines_;
    run_begin_ += small_ ? channels_ * plane_ : plane_;
    if (++run_ == runs_) run_ = 0;
    return true;
  }

  const float* data_;
  std::int64_t plane_, channels_, pixels_;
  bool small_;
  std::int64_t pixel_, end_, pieces_, runs_, run_lines_, lines_;
  std::int64_t due_ = 0;  ///< lines times pieces_
  std::int64_t run_ = 0, left_ = 0;
  const float* run_begin_ = nullptr;
  std::uintptr_t line_ = 0;
};

}  // namespace retrace::cpu::winograd
