// Chapter 4: reading the ledger.
#include <retrace/retrace.h>

#include <cstdio>
#include <iostream>
#include <map>
#include <string>

using namespace retrace;

namespace {

// [setup]
/// Images and labels for a network of the CIFAR kind.
struct Data {
  Tensor images = Tensor::full({4, 3, 16, 16}, 0.5, DType::f32);
  Tensor labels = Tensor::from<std::int64_t>({3, 1, 4, 1}, {4});
};

std::shared_ptr<ResidualNetwork> network_of(std::int64_t blocks, Policy policy) {
  manual_seed(1);
  auto network = std::make_shared<ResidualNetwork>(NetworkOptions{.channels = {8, 8}, .blocks = {blocks}});
  network->set_policy(policy);
  return network;
}

/// For printf.
long long number(std::int64_t bytes) { return bytes; }
// [/setup]

// [tags]
void by_tag() {
  const Data data;
  const auto network = network_of(4, Policy::stored);
  Tape tape;
  const Var loss = cross_entropy((*network)(data.images), data.labels);
  for (const Tag tag : {Tag::parameter, Tag::buffer, Tag::parameter_gradient, Tag::activation, Tag::saved,
                        Tag::gradient, Tag::workspace, Tag::data})
    std::printf("%-20s %8lld bytes\n", std::string(name_of(tag)).c_str(), number(ledger().live(tag)));
}
// [/tags]

// [counter]
/// Bytes of one step: after forward, and at most. Scratch space depends on the machine and is left out.
void count(std::int64_t blocks, Policy policy) {
  const Data data;
  const auto network = network_of(blocks, policy);
  const Counter counter(kStepTags - Tag::workspace);
  Tape tape;
  const Var loss = cross_entropy((*network)(data.images), data.labels);
  const std::int64_t after_forward = counter.live();
  tape.backward(loss);
  std::printf("%-10s %2lld blocks: %7lld after forward, %7lld at the peak\n",
              std::string(name_of(policy)).c_str(), number(blocks), number(after_forward),
              number(counter.peak()));
}
// [/counter]

// [peak]
void at_the_peak() {
  const Data data;
  const auto network = network_of(4, Policy::reversible);
  const Counter counter(kStepTags - Tag::workspace, /*remember=*/true);
  Tape tape;
  const Var loss = cross_entropy((*network)(data.images), data.labels);
  tape.backward(loss);

  std::map<std::string, std::int64_t> bytes;  // by place and tag
  for (const AllocationRecord& record : counter.alive_at_peak())
    bytes[path_of(record.scope) + "  " + std::string(name_of(record.tag))] += record.bytes;
  for (const auto& [what, sum] : bytes) std::printf("%6lld  %s\n", number(sum), what.c_str());
  std::printf("%6lld  in all\n", number(counter.peak()));
}
// [/peak]

// [budget]
void with_a_budget() {
  const Data data;
  const auto network = network_of(64, Policy::stored);
  ledger().set_budget(ledger().live() + 1'000'000);
  try {
    Tape tape;
    const Var loss = cross_entropy((*network)(data.images), data.labels);
    std::cout << "it fits\n";
  } catch (const OutOfMemoryError& error) {
    const std::string text = error.what();
    std::cout << text.substr(0, text.find("\n")) << "\n";
  }
  ledger().set_budget(0);
}
// [/budget]

}  // namespace

int main() {
  by_tag();
  std::cout << "\n";
  for (const Policy policy : {Policy::stored, Policy::checkpoint, Policy::reversible})
    for (const std::int64_t blocks : {4, 8, 16}) count(blocks, policy);
  std::cout << "\n";
  at_the_peak();
  std::cout << "\n";
  with_a_budget();
}
