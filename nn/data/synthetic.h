#pragma once
#include <retrace/nn/data/dataset.h>

#include <cstdint>
#include <memory>

namespace retrace {

/// What `synthetic` draws.
struct SyntheticOptions {
  std::int64_t images = 5000;  ///< how many
  Shape shape{3, 32, 32};      ///< [C, H, W]
  std::int64_t classes = 10;   ///< how many patterns
  double noise = 0.5;          ///< amplitude of the noise, against 1 for the pattern
  std::uint64_t seed = 0;      ///< of patterns, contrasts and noise
  Split split = Split::train;  ///< the test images show the same patterns under other noise
};

/// Images that need no file: each class has a smooth pattern, a plane wave of its own in each channel, which
/// an image shows at its own contrast a in [0.5, 1] and under noise u uniform in [-1, 1). Image i has the
/// label i mod classes.
///
///     pixel = 127.5 + 127.5 (a sin(2 pi (f_x x / W + f_y y / H) + phase) + noise u) / (1 + noise)
///
/// Every byte is a function of the options alone. Throws ArgumentError and ShapeError.
std::shared_ptr<ImageDataset> synthetic(const SyntheticOptions& options = {});

}  // namespace retrace
