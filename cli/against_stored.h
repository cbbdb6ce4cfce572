#pragma once
#include <retrace/autograd/decisions.h>
#include <retrace/cli/options.h>
#include <retrace/nn/data/loader.h>

#include <cstdint>
#include <string>
#include <vector>

namespace retrace::cli {

/// A number that must not be above another.
struct Comparison {
  std::string name{};  ///< a parameter's path, or `step 3`
  double error = 0;
  double allowed = 0;

  bool passed() const { return error <= allowed; }
};

/// One policy's run beside the stored one, with the same weights, images and random numbers.
struct AgainstStored {
  Policy policy = Policy::reversible;
  std::vector<Comparison> gradients{};  ///< of the first step: ||g - g_stored|| / ||g||, where ||g||
  ///< is that of the f64 run, or of all gradients for one that is zero in exact arithmetic
  std::vector<Comparison> losses{};              ///< of each step: |loss - loss_stored|
  std::vector<std::string> different_buffers{};  ///< running statistics that are not bit-equal after a step
  /// Decisions of the first step under a reversible policy: how many decisions (of ReLUs and the like) come
  /// out otherwise on rebuilt values than in forward. `reversible` uses them, `reversible-masks` uses
  /// forward's.
  DecisionCounts decisions{};
};

struct AgainstStoredOptions {
  NetworkOptions network{};
  RunChoice run{};
  double lr = 0.1;
};

/// In f64 gradients may differ by 1e-9, relative. Else what is allowed is three times what rounding does to
/// the stored run: the furthest, from it, of four stored runs whose first weights are nudged by four
/// roundings and, in f32, of the stored run in f64 (of the losses: the largest distance so far). One such run
/// would not do: two that round differently differ in a few ReLUs, in which is chance, and a deep network at
/// a high learning rate is chaotic and multiplies a difference by ten in each step. One step for each batch;
/// the batches are f32.
std::vector<AgainstStored> against_stored(const AgainstStoredOptions& options,
                                          const std::vector<Policy>& policies,
                                          const std::vector<Batch>& batches);

}  // namespace retrace::cli
