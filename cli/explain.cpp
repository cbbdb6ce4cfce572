#include <retrace/cli/exit.h>
#include <retrace/cli/explain.h>
#include <retrace/cli/step.h>
#include <retrace/cli/table.h>
#include <retrace/cli/witness.h>
#include <retrace/core/format.h>
#include <retrace/core/memory.h>
#include <retrace/nn/init.h>

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <span>
#include <sstream>

namespace retrace::cli {

namespace {

constexpr double kLearningRate = 0.1;
// Scratch space depends on the width of the machine's vectors; without it the bytes are the same everywhere.
constexpr TagSet kTold = kStepTags - Tag::workspace;

/// A step that was taken.
struct Told {
  std::unique_ptr<Witness> witness;
  StepResult result{};
  std::int64_t peak = 0;                         // of kTold
  std::vector<std::vector<double>> gradients{};  // of each parameter
  std::int64_t parameter_bytes = 0;
  std::int64_t gradient_bytes = 0;
};

/// The named network's first stage with two blocks, unless the options say otherwise.
NetworkOptions cut_down(NetworkChoice choice, const ImageFormat& images) {
  const std::vector<std::int64_t> channels = retrace::network_options(choice.name).channels;
  if (choice.blocks.empty()) choice.blocks = {2};
  const std::size_t wanted = std::min(choice.blocks.size() + 1, channels.size());
  if (choice.channels.empty())
    choice.channels.assign(channels.begin(), channels.begin() + static_cast<std::ptrdiff_t>(wanted));
  return network_options(choice, images);
}

Batch random_batch(const ExplainOptions& options, const ImageFormat& images) {
  manual_seed(options.run.seed);
  Batch batch;
  batch.images = Tensor({options.batch, images.shape[0], images.shape[1], images.shape[2]},
                        dtype_from_name(options.run.dtype), Tag::data);
  init::normal(batch.images);
  std::vector<std::int64_t> labels;
  for (std::int64_t i = 0; i < options.batch; ++i) labels.push_back(i % images.classes);
  batch.labels = Tensor::from<std::int64_t>(labels, {options.batch});
  return batch;
}

Told take_step(const ExplainOptions& options, const NetworkOptions& network_options, Policy policy,
               const Batch& batch, const Witness* stored) {
  const auto network = make_network(network_options, options.run, policy);
  Told told{.witness = std::make_unique<Witness>(stored)};
  {
    const Counter counter(kTold);
    told.result = forward_backward(*network, batch, 1, {.observer = told.witness.get()});
    told.peak = counter.peak();
  }
  for (const Parameter* parameter : network->parameters()) {
    told.gradients.push_back(parameter->grad().to_vector<double>());
    told.parameter_bytes += parameter->value().bytes();
    told.gradient_bytes += parameter->grad().bytes();
  }
  SGD(network->parameters(), {.lr = kLearningRate}).step();
  return told;
}

double gradient_error(const Told& a, const Told& b) {
  double largest = 0;
  for (std::size_t p = 0; p < a.gradients.size(); ++p)
    largest = std::max(largest, largest_difference(a.gradients[p], b.gradients[p]));
  return largest;
}

/// `none`, or the first of 1e-17, 1e-14, 1e-11, ... that the error does not reach: its digits differ from
/// machine to machine.
std::string bound(double error) {
  if (error == 0) return "none";
  int power = -17;
  while (power < 300 && error >= std::pow(10.0, power)) power += 3;
  return fmt::format("< 1e{:+03d}", power);
}

enum class Colour : std::uint8_t { plain, bold, dim, red, green };

/// The text in a colour, if it goes to a terminal that wants colours.
std::string painted(const std::string& text, Colour colour) {
  static const bool wanted = ::isatty(STDOUT_FILENO) == 1 && std::getenv("NO_COLOR") == nullptr;
  constexpr std::string_view kCodes[] = {"0", "1", "2", "31", "32"};
  if (!wanted || colour == Colour::plain) return text;
  return fmt::format("\x1b[{}m{}\x1b[0m", kCodes[static_cast<std::size_t>(colour)], text);
}

Colour colour_of(const Moment& moment) {
  if (moment.kind == Moment::Kind::released) return Colour::red;
  if (moment.kind == Moment::Kind::restored) return Colour::green;
  return moment.depth > 0 ? Colour::dim : Colour::plain;
}

std::string tensors_of(const Moment& moment) { return fmt::format("{}", fmt::join(moment.tensors, ", ")); }

std::string what_happened(const Moment& moment, bool ending) {
  switch (moment.kind) {
    case Moment::Kind::recorded:
      return tensors_of(moment);
    case Moment::Kind::released:
      return fmt::format("forgets {}, {} bytes", tensors_of(moment), moment.bytes);
    case Moment::Kind::begun:
      return "begins, with tapes of its own:";
    case Moment::Kind::replayed:
      return fmt::format("{} derivatives run, and this tape ends", moment.node);
    case Moment::Kind::restored:
      return fmt::format("has rebuilt {}, {} bytes", tensors_of(moment), moment.bytes);
    case Moment::Kind::done:
      return ending ? "ends" : "";
  }
  return "";
}

/// Which columns a table has beside node, operation, where, tape holds and alive.
struct Columns {
  bool keeps = false;
  bool error = false;
};

/// `ending`: the derivative had begun with a line of its own.
std::vector<std::string> cells_of(const Moment& moment, const Columns& columns, bool ending) {
  const bool own_line = moment.kind == Moment::Kind::recorded || moment.kind == Moment::Kind::begun ||
                        moment.kind == Moment::Kind::done;
  const bool holds = moment.kind == Moment::Kind::recorded || moment.kind == Moment::Kind::done ||
                     moment.kind == Moment::Kind::released;
  const std::string indent(2 * static_cast<std::size_t>(moment.depth), ' ');
  std::vector<std::string> cells = {own_line && moment.depth == 0 ? std::to_string(moment.node) : "",
                                    own_line ? indent + std::string(moment.op) : "",
                                    own_line && !ending ? moment.where : ""};
  if (columns.keeps) cells.push_back(what_happened(moment, ending));
  cells.push_back(holds ? std::to_string(moment.held) : "");
  cells.push_back(std::to_string(moment.alive));
  if (columns.error) cells.push_back(moment.error ? bound(*moment.error) : "");
  return cells;
}

Table table_with(const Columns& columns) {
  std::vector<Table::Column> all = {
      {.title = "node"}, {.title = "operation", .text = true}, {.title = "where", .text = true}};
  if (columns.keeps) all.push_back({.title = "keeps for the way back", .text = true});
  all.push_back({.title = "tape holds"});
  all.push_back({.title = "alive"});
  if (columns.error) all.push_back({.title = "error", .text = true});
  return Table(std::move(all));
}

void print(std::span<const Moment> moments, const Columns& columns) {
  Table table = table_with(columns);
  std::vector<Colour> colours = {Colour::bold};
  bool begun = false;
  for (const Moment& moment : moments) {
    const bool done = moment.kind == Moment::Kind::done;
    table.add(cells_of(moment, columns, begun && done));
    colours.push_back(colour_of(moment));
    begun = !done && (begun || moment.kind == Moment::Kind::begun);
  }
  std::istringstream lines(table.to_string());
  std::string line;
  for (std::size_t n = 0; std::getline(lines, line); ++n) fmt::print("{}\n", painted(line, colours[n]));
}

void print_heading(const ExplainOptions& options, const NetworkOptions& network, Policy policy) {
  fmt::print(
      "{}\n"
      "One training step of {}: channels {}, blocks {}; {} images of {}x{}x{}, {}.\n"
      "Bytes are those of activations, of what is saved only for the way back, and of gradients of\n"
      "activations. Images, weights and their gradients do not count, nor does a kernel's scratch space.\n",
      painted(fmt::format("Policy {}", name_of(policy)), Colour::bold), options.network.name,
      list_of(network.channels), list_of(network.blocks), options.batch, network.in_channels, options.size,
      options.size, options.run.dtype);
}

void print_summary(const Told& told, Policy policy, const Told& stored) {
  fmt::print("\n{} {} parameters, {} bytes, move against their gradients, {} bytes. The tape is empty.\n",
             painted("Update.", Colour::bold), told.gradients.size(), told.parameter_bytes,
             told.gradient_bytes);
  Table table({{.title = "policy", .text = true},
               {.title = "alive after forward"},
               {.title = "at the peak"},
               {.title = "loss"},
               {.title = "error of the gradients", .text = true}});
  const auto row = [&](Policy p, const Told& t, const std::string& error) {
    table.add({std::string(name_of(p)), std::to_string(t.result.after_forward_bytes), std::to_string(t.peak),
               fmt::format("{:.6f}", t.result.loss), error});
  };
  row(Policy::stored, stored, "");
  if (policy != Policy::stored) row(policy, told, bound(gradient_error(told, stored)));
  fmt::print("\n{}", table.to_string());
}

}  // namespace

int run_explain(const ExplainOptions& options) {
  const ImageFormat images{.shape = {3, options.size, options.size}, .classes = 10};
  const NetworkOptions network = check_use([&] { return cut_down(options.network, images); });
  const Policy policy = check_use([&] { return policy_for(options.policy, network); });
  check_use([&] { return make_network(network, options.run, policy); });
  apply(options.run);
  const Batch batch = random_batch(options, images);
  const Told stored = take_step(options, network, Policy::stored, batch, nullptr);
  const Told told = take_step(options, network, policy, batch, stored.witness.get());
  const std::span<const Moment> moments = told.witness->moments();
  const std::size_t forward = told.witness->forward_moments();
  print_heading(options, network, policy);
  const std::span<const Moment> backward = moments.subspan(forward);
  const bool replays =
      std::any_of(backward.begin(), backward.end(), [](const Moment& m) { return m.depth > 0; });
  fmt::print("\n{} alive: when the operation had been recorded.\n", painted("Forward.", Colour::bold));
  print(moments.first(forward), {.keeps = true});
  fmt::print("\n{} tape holds: without what the derivative kept; alive: still with it.\n",
             painted("Backward.", Colour::bold));
  if (replays)
    fmt::print(
        "Indented: on a tape of the hook's own. error: the largest difference from what the stored step had\n"
        "there, or from what was forgotten (copies, which do not count).\n");
  print(backward, {.keeps = replays, .error = replays});
  print_summary(told, policy, stored);
  return kDone;
}

}  // namespace retrace::cli
