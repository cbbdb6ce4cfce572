#pragma once
#include <retrace/core/error.h>
#include <retrace/nn/data/loader.h>
#include <retrace/nn/grad_scaler.h>
#include <retrace/nn/module.h>
#include <retrace/nn/optimizer.h>
#include <retrace/report/recorder.h>

#include <cstdint>
#include <string_view>

namespace retrace::cli {

/// A training that computes what is infinite or no number.
class DivergedError : public Error {
 public:
  using Error::Error;
};

/// Where a network's parameters are.
Device device_of(Module& network);

/// What one training step did and what it took. Bytes are those of kStepTags.
struct StepResult {
  double loss = 0;
  std::int64_t correct = 0;  ///< images whose largest logit is their label's
  std::int64_t after_forward_bytes = 0;
  std::int64_t peak_bytes = 0;
  double forward_seconds = 0;
  double backward_seconds = 0;
  double update_seconds = 0;

  double seconds() const { return forward_seconds + backward_seconds + update_seconds; }
};

/// What takes part in a step besides; each may be null. A tape has one observer.
struct StepExtras {
  Tensor* logits = nullptr;            ///< gets a copy of what the network computed
  TapeObserver* observer = nullptr;    ///< sees the tape
  MemoryRecorder* recorder = nullptr;  ///< sees it instead, and is told of the phases
  GradScaler* scaler = nullptr;        ///< scales the loss
};

/// Throws DivergedError, naming the parameter, unless all are finite after step `number`.
void check_parameters(Module& network, std::int64_t number);

/// Forward, loss and backward; the gradients are left in the parameters. Throws DivergedError naming step
/// `number` when the loss is not finite, before anything is changed but running statistics.
StepResult forward_backward(Module& network, const Batch& batch, std::int64_t number,
                            const StepExtras& extras = {});

/// The same, then the optimizer's step; the gradients are forgotten.
StepResult training_step(Module& network, Optimizer& optimizer, const Batch& batch, std::int64_t number,
                         const StepExtras& extras = {});

/// How a network does on the images of a loader, in evaluation mode.
struct Evaluation {
  double loss = 0;      ///< mean over the images
  double accuracy = 0;  ///< in [0, 1]
  std::int64_t images = 0;
  std::int64_t correct = 0;  ///< among them
};
Evaluation evaluate(Module& network, Loader& loader);
/// How a network does on one batch, in evaluation mode.
Evaluation evaluate(Module& network, const Batch& batch);

}  // namespace retrace::cli
