#pragma once
#include <retrace/nn/data/loader.h>
#include <retrace/nn/module.h>
#include <retrace/nn/optimizer.h>

#include <cstdint>
#include <string>
#include <vector>

namespace retrace::cli {

/// How the activation bytes of one training step rise and fall.
struct Timeline {
  struct Point {
    double seconds = 0;
    std::int64_t bytes = 0;  ///< from here on
  };

  std::string name{};
  std::vector<Point> points{};
  double forward_end = 0;  ///< seconds; backward begins
  double backward_end = 0;
  double end = 0;
  std::int64_t peak = 0;
};

/// Runs one training step and watches it. Do another one before it, so that what only the first step does is
/// not in the picture.
Timeline watch_step(const std::string& name, Module& network, Optimizer& optimizer, const Batch& batch);

/// A picture of timelines on one scale, as an SVG document. `title` says in one line what is seen, `text` in
/// one sentence why.
std::string draw(const std::vector<Timeline>& timelines, const std::string& title, const std::string& text);

}  // namespace retrace::cli
