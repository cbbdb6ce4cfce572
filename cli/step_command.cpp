#include <retrace/cli/exit.h>
#include <retrace/cli/names.h>
#include <retrace/cli/snapshot.h>
#include <retrace/cli/step.h>
#include <retrace/cli/step_batches.h>
#include <retrace/cli/step_command.h>
#include <retrace/core/fail.h>

#include <algorithm>

namespace retrace::cli {

namespace {

/// As many as the weights of the last layer say; what is wrong with these, loading them tells.
std::int64_t classes_in(const TensorFile& weights) {
  const Tensor* last = find_tensor(weights, "fc.weight");
  return last != nullptr && last->shape().rank() == 2 ? last->shape()[0] : 1;
}

/// The training, which collects what it will write.
class Steps {
 public:
  Steps(const StepOptions& options, const std::string& names, ResidualNetwork& network)
      : options_(options),
        network_(network),
        names_(names_of(network, names)),
        optimizer_(check_use([&] { return make_optimizer(options.optimizer, network); })) {}

  std::vector<Named<Tensor>> run(const StepBatches& batches) {
    std::vector<double> losses;
    for (std::int64_t number = 1; number <= options_.steps; ++number) {
      optimizer_->set_lr(learning_rate(options_.optimizer, number, options_.steps));
      Tensor logits;
      losses.push_back(forward_backward(network_, batches.batch(number), number, {.logits = &logits}).loss);
      if (number == 1) {
        written_.emplace_back("logits", logits);
        add_gradients();
      }
      optimizer_->step();
      check_parameters(network_, number);
      optimizer_->zero_grad();
    }
    add_state();
    const Tensor loss = Tensor::from(std::span<const double>(losses), Shape{options_.steps});
    written_.emplace(written_.begin(), "loss", loss.to(dtype_from_name(options_.run.dtype), Tag::data));
    return std::move(written_);
  }

 private:
  void add(const std::string& kind, const std::string& path, const Tensor& tensor) {
    written_.emplace_back(kind + names_.at(path), tensor);
  }

  void add_gradients() {
    for (const auto& [path, parameter] : network_.named_parameters()) {
      const Tensor& value = parameter->value();
      add("grad.", path,
          parameter->has_grad() ? parameter->grad().clone(Tag::data)
                                : Tensor::zeros(value.shape(), value.dtype()));
    }
  }

  void add_state() {
    for (const auto& [path, parameter] : network_.named_parameters()) add("param.", path, parameter->value());
    for (const auto& [path, buffer] : network_.named_buffers()) add("buffer.", path, *buffer);
  }

  const StepOptions& options_;
  ResidualNetwork& network_;
  std::map<std::string, std::string> names_;
  std::unique_ptr<Optimizer> optimizer_;
  std::vector<Named<Tensor>> written_;
};

}  // namespace

int run_step(const StepOptions& options) {
  check_use([&] { static_cast<void>(retrace::network_options(options.network.name)); });
  apply(options.run);
  const TensorFile weights = load_weight_file(options.weights);
  const StepBatches batches(options.batch, dtype_from_name(options.run.dtype), options.steps);
  const ImageFormat images{.shape = {batches.channels(), 1, 1}, .classes = classes_in(weights)};
  const NetworkOptions network_options = cli::network_options(options.network, images);
  const Policy policy = check_use([&] { return policy_for(options.policy, network_options); });
  const auto network = check_use([&] { return make_network(network_options, options.run, policy); });
  const std::string names = settled_names(options.names, weights.metadata);
  load_named(*network, weights, names);

  Metadata metadata = network_metadata(options.network.name, network_options, options.run.dtype);
  metadata.merge(metadata_of(options.optimizer));
  metadata["policy"] = name_of(policy);
  const std::vector<Named<Tensor>> written = Steps(options, names, *network).run(batches);
  save_tensors(options.out, written, metadata);
  const std::vector<double> losses = written.front().second.to_vector<double>();
  fmt::print("{} in {}, policy {}: {} steps, loss {:.6f} to {:.6f}\n", options.network.name,
             options.run.dtype, name_of(policy), options.steps, losses.front(), losses.back());
  return kDone;
}

}  // namespace retrace::cli
