#include <retrace/autograd/ops.h>
#include <retrace/cli/finite.h>
#include <retrace/cli/step.h>
#include <retrace/core/fail.h>
#include <retrace/core/memory.h>
#include <retrace/cuda/device.h>

#include <retrace/nn/metrics.h>

#include <chrono>
#include <cmath>

namespace retrace::cli {

namespace {

class Stopwatch {
 public:
  /// Seconds since the last call.
  double lap() {
    const auto now = std::chrono::steady_clock::now();
    return std::chrono::duration<double>(now - std::exchange(last_, now)).count();
  }

 private:
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

Tensor moved(const Tensor& x, Device device) { return x.device() == device ? x : x.to(device, Tag::data); }

/// Loss and gradients, counted by `counter`, which sees the rest of the step too.
StepResult run(Module& network, const Batch& batch, std::int64_t number, const Counter& counter,
               Stopwatch& watch, const StepExtras& extras) {
  StepResult result;
  Tape tape;
  tape.observe(extras.recorder != nullptr ? extras.recorder : extras.observer);
  const Device device = device_of(network);
  const Var loss = [&] {
    const Tensor labels = moved(batch.labels, device);
    const Var logits = network(moved(batch.images, device));
    result.correct = count_correct(logits.value(), labels);
    if (extras.logits != nullptr) *extras.logits = logits.value().clone(Tag::data);
    if (extras.recorder != nullptr) extras.recorder->begin_phase("loss");
    return cross_entropy(logits, labels);
  }();
  result.loss = loss.value().item();
  result.after_forward_bytes = counter.live();
  result.forward_seconds = watch.lap();
  if (!std::isfinite(result.loss))
    fail<DivergedError>("train", "the loss must be finite, got {} at step {}", std::abs(result.loss), number);
  tape.backward(extras.scaler == nullptr ? loss : extras.scaler->scale(loss));
  cuda::synchronize(device);
  result.backward_seconds = watch.lap();
  return result;
}

}  // namespace

Device device_of(Module& network) { return network.parameters().front()->value().device(); }

void check_parameters(Module& network, std::int64_t number) {
  std::vector<Named<Tensor>> values;
  for (const auto& [name, parameter] : network.named_parameters())
    values.emplace_back(name, parameter->value());
  if (const auto name = first_not_finite(values))
    fail<DivergedError>("train", "the parameters must be finite, but after step {} {} is not", number, *name);
}

StepResult forward_backward(Module& network, const Batch& batch, std::int64_t number,
                            const StepExtras& extras) {
  const Counter counter(kStepTags, /*remember=*/false, device_of(network));
  Stopwatch watch;
  StepResult result = run(network, batch, number, counter, watch, extras);
  result.peak_bytes = counter.peak();
  return result;
}

StepResult training_step(Module& network, Optimizer& optimizer, const Batch& batch, std::int64_t number,
                         const StepExtras& extras) {
  const Counter counter(kStepTags, /*remember=*/false, device_of(network));
  Stopwatch watch;
  StepResult result = run(network, batch, number, counter, watch, extras);
  if (extras.scaler == nullptr) {
    optimizer.step();
  } else {
    extras.scaler->step(optimizer);
    extras.scaler->update();
  }
  optimizer.zero_grad();
  cuda::synchronize(device_of(network));
  result.update_seconds = watch.lap();
  result.peak_bytes = counter.peak();
  return result;
}

Evaluation evaluate(Module& network, Loader& loader) {
  Evaluation result;
  loader.start_epoch(0);
  while (const std::optional<Batch> batch = loader.next()) {
    const Evaluation one = evaluate(network, *batch);
    result.loss += one.loss * static_cast<double>(one.images);
    result.images += one.images;
    result.correct += one.correct;
  }
  result.loss /= static_cast<double>(result.images);
  result.accuracy = static_cast<double>(result.correct) / static_cast<double>(result.images);
  return result;
}

Evaluation evaluate(Module& network, const Batch& batch) {
  const NoTape no_tape;
  const bool training = network.training();
  network.eval();
  const Device device = device_of(network);
  const Tensor labels = moved(batch.labels, device);
  const Var logits = network(moved(batch.images, device));
  Evaluation result{.loss = cross_entropy(logits, labels).value().item(),
                    .images = labels.numel(),
                    .correct = count_correct(logits.value(), labels)};
  result.accuracy = static_cast<double>(result.correct) / static_cast<double>(result.images);
  network.train(training);
  return result;
}

}  // namespace retrace::cli
