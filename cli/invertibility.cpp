#include <retrace/autograd/tape.h>
#include <retrace/cli/invertibility.h>
#include <retrace/cli/step.h>
#include <retrace/core/scope.h>
#include <retrace/nn/init.h>
#include <retrace/revnet/residual.h>
#include <retrace/revnet/sequence.h>

#include <cmath>
#include <map>
#include <vector>

namespace retrace::cli {

namespace {

/// ||x - truth|| / ||truth||.
double relative_error(const Tensor& x, const Tensor& truth) {
  const std::vector<double> a = x.to_vector<double>();
  const std::vector<double> b = truth.to_vector<double>();
  double difference = 0;
  double norm = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    difference += (a[i] - b[i]) * (a[i] - b[i]);
    norm += b[i] * b[i];
  }
  return std::sqrt(difference / norm);
}

/// One block's forward, and all that its inverse needs to undo it.
struct Done {
  std::shared_ptr<InvertibleModule> block;
  ScopeSnapshot scope;  // with the random numbers that it drew
  Tensor x;
  Tensor y;

  Tensor undo(const Tensor& from) const {
    const Reenter here(scope);
    return block->inverse(from).value();
  }
};

std::vector<Done> run_forward(const InvertibleSequence& run, Tensor x) {
  std::vector<Done> blocks;
  for (std::size_t i = 0; i < run.size(); ++i) {
    Done done{.block = run.block(i), .scope = {}, .x = std::move(x), .y = {}};
    const Scope scope(std::to_string(i));
    done.scope = scope_snapshot();
    done.y = done.block->forward(done.x).value();
    x = done.y;
    blocks.push_back(std::move(done));
  }
  return blocks;
}

/// The input of a stage's reversible blocks, which keep its shape: the image is halved in each stage but the
/// first.
Shape shape_in_stage(const NetworkOptions& options, std::size_t stage, const Shape& image,
                     std::int64_t batch) {
  std::int64_t height = image[1];
  std::int64_t width = image[2];
  for (std::size_t s = 0; s < stage; ++s) {
    height = (height + 1) / 2;
    width = (width + 1) / 2;
  }
  return {batch, options.channels[stage + 1] * expansion(options.bottleneck), height, width};
}

}  // namespace

std::vector<InverseError> invertibility(ResidualNetwork& network, const Shape& image, std::int64_t batch,
                                        DType dtype) {
  const NoTape no_tape;
  const Recomputing leave_buffers_alone;
  std::vector<InverseError> errors;
  std::map<std::string, InvertibleSequence*> runs;
  for (const auto& [path, module] : network.named_modules())
    if (auto* run = dynamic_cast<InvertibleSequence*>(module)) runs[path] = run;
  for (std::size_t stage = 0; stage < network.options().blocks.size(); ++stage) {
    const std::string path = "stage" + std::to_string(stage + 1);
    if (!runs.contains(path)) continue;
    const InvertibleSequence& run = *runs[path];
    const Scope scope(path);
    Tensor x(shape_in_stage(network.options(), stage, image, batch), dtype, Tag::data, device_of(network));
    init::normal(x);
    const std::vector<Done> blocks = run_forward(run, x);
    const auto ordinary = static_cast<std::size_t>(network.options().blocks[stage]) - run.size();
    Tensor rebuilt = blocks.back().y;
    for (std::size_t i = blocks.size(); i-- > 0;) {
      rebuilt = blocks[i].undo(rebuilt);
      errors.push_back({.block = path + "." + std::to_string(ordinary + i),
                        .depth = static_cast<std::int64_t>(blocks.size() - i),
                        .alone = relative_error(blocks[i].undo(blocks[i].y), blocks[i].x),
                        .drift = relative_error(rebuilt, blocks[i].x)});
    }
  }
  return errors;
}

}  // namespace retrace::cli
