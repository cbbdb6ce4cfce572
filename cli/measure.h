#pragma once
#include <retrace/cli/options.h>
#include <retrace/cli/profile.h>
#include <retrace/nn/data/loader.h>
#include <retrace/report/write.h>

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

namespace retrace::cli {

/// What one training step of a network costs under one policy.
struct MemoryRun {
  std::string network{};
  Policy policy = Policy::stored;
  std::int64_t batch = 0;
  int threads = 0;
  std::int64_t parameters = 0;
  std::int64_t after_forward_bytes = 0;  ///< the most of any step
  std::int64_t peak_bytes = 0;           ///< the most of any step
  double step_seconds = 0;               ///< median of the timed steps
  double forward_seconds = 0;            ///< the same of the forward, with the loss
  double backward_seconds = 0;           ///< the same of the backward
  double update_seconds = 0;             ///< the same of the optimizer's step
  std::int64_t resident_bytes = 0;       ///< most memory of the process in the second step; 0: unknown
  std::int64_t needed_bytes = 0;         ///< the process without tensors, and the most that they held then
  double loss = 0;                       ///< of the last step
  Profile profile{};                     ///< of the fastest timed step, where it was asked for
};

struct MeasureOptions {
  std::string name{};
  NetworkOptions network{};
  RunChoice run{};
  std::vector<Policy> policies{};
  std::int64_t steps = 5;           ///< timed, after two that are not
  double lr = 0.1;                  ///< of SGD with momentum
  ResidualNetwork* from = nullptr;  ///< start with this network's weights
  bool profile = false;             ///< time each op
};

/// Trains the same network under each policy, always with this batch. Every policy does one step before any
/// does the next, so that all meet the same machine.
std::vector<MemoryRun> measure(const MeasureOptions& options, const Batch& batch);

/// A step under each policy, watched, after one that is not. Only the network that is watched exists then.
/// Recordings have their policy's name.
std::vector<Recording> record_steps(const MeasureOptions& options, const Batch& batch);

/// The bytes of a step under each policy, of networks with so many times the blocks. One step each, since
/// every step takes the same bytes.
std::vector<DepthPoint> measure_depths(const MeasureOptions& options, const Batch& batch,
                                       const std::vector<std::int64_t>& multiples);

double median(std::vector<double> values);
double mebibytes(std::int64_t bytes);

/// The first batch of the data set's training images; `size` of them, without augmentation. Throws
/// ArgumentError when there are fewer.
Batch first_batch(const std::shared_ptr<const Dataset>& data, std::int64_t size, const RunChoice& run);

/// The eight fields that `bench memory --json` promises.
nlohmann::ordered_json json_of(const MemoryRun& run);
/// For people: with the shares of the first run of the same batch.
std::string table_of(const std::vector<MemoryRun>& runs, bool with_loss);

}  // namespace retrace::cli
