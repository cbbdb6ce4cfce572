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

  // Inlined, because the compilers drop calls of a function that only fetches. Without divisions, which take
  // longer than all else here.
  [[gnu::always_inline]] void piece() {
    for (due_ += lines_; due_ >= pieces_; due_ -= pieces_, ++line_, --left_) {
      if (left_ == 0) begin_run();
      __builtin_prefetch(reinterpret_cast<const void*>(line_ * kLineBytes), kWritten, kWritten ? 3 : 2);
    }
  }

 private:
  static constexpr std::uintptr_t kLineBytes = 64;
  static constexpr std::int64_t kLinePixels = kLineBytes / sizeof(float);

  /// A run is what lies together in memory: pixels of a channel, of as many vectors as an image has of them,
  /// or all of a small image.
  void begin_run() {
    if (run_ == 0) {
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
