#pragma once
#include <retrace/cli/options.h>

#include <cstdint>
#include <string>
#include <vector>

namespace retrace::cli {

/// How well one reversible block's input comes back, relative to the input's norm.
struct InverseError {
  std::string block{};
  std::int64_t depth = 0;  ///< of the block, counted from the end of its stage
  double alone = 0;        ///< from the block's true output
  double drift = 0;        ///< from the end of the stage, through all blocks behind it
};

/// Runs the reversible blocks of each stage forward and back, in training mode, on a batch of random numbers
/// with mean 0 and variance 1.
std::vector<InverseError> invertibility(ResidualNetwork& network, const Shape& image, std::int64_t batch,
                                        DType dtype);

}  // namespace retrace::cli
